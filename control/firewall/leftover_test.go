package firewall

import (
	"slices"
	"strings"
	"testing"
)

// Each line of a table begins with "-" if it is to be removed, "=" if it is a rule of
// others that holds a chain of Docker's, and " " if it stays.
func TestLeftover(t *testing.T) {
	for _, row := range []struct{ name, table, lines, restore string }{
		{name: "nothing of Docker's", table: "filter", lines: `
 :INPUT ACCEPT [0:0]
 :mine - [0:0]
 -A FORWARD -j mine`},
		{name: "Docker 20.10's filter", table: "filter", lines: `
 :INPUT ACCEPT [0:0]
 :FORWARD DROP [0:0]
- -A FORWARD -j DOCKER-USER
- -A FORWARD -j DOCKER-ISOLATION-STAGE-1
- -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
- -A FORWARD -o docker0 -j DOCKER
- -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
- -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
- -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
- -A DOCKER-ISOLATION-STAGE-1 -j RETURN
- -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
- -A DOCKER-USER -j RETURN
- :DOCKER - [0:0]
- :DOCKER-ISOLATION-STAGE-1 - [0:0]
- :DOCKER-ISOLATION-STAGE-2 - [0:0]
 :DOCKER-USER - [0:0]`, restore: `
-D FORWARD -j DOCKER-USER
-D FORWARD -j DOCKER-ISOLATION-STAGE-1
-D FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-D FORWARD -o docker0 -j DOCKER
-D FORWARD -i docker0 ! -o docker0 -j ACCEPT
-D DOCKER-USER -j RETURN
-F DOCKER
-F DOCKER-ISOLATION-STAGE-1
-F DOCKER-ISOLATION-STAGE-2
-X DOCKER
-X DOCKER-ISOLATION-STAGE-1
-X DOCKER-ISOLATION-STAGE-2`},
		{name: "chains of later versions", table: "filter", lines: `
- -A FORWARD -j DOCKER-FORWARD
- -A DOCKER-FORWARD -j DOCKER-CT
- -A DOCKER-FORWARD -j DOCKER-INTERNAL
- -A DOCKER-FORWARD -j DOCKER-BRIDGE
- -A DOCKER-FORWARD -j DOCKER-INGRESS
- :DOCKER-BRIDGE - [0:0]
- :DOCKER-CT - [0:0]
- :DOCKER-FORWARD - [0:0]
- :DOCKER-INGRESS - [0:0]
- :DOCKER-INTERNAL - [0:0]`},
		{name: "nat", table: "nat", lines: `
- -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
- -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
- -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
- -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
- -A POSTROUTING -s fd00::2/128 -d fd00::2/128 -p tcp -m tcp --dport 80 -j MASQUERADE
 -A POSTROUTING -s 10.1.0.0/16 -o wg0 -j MASQUERADE
 -A POSTROUTING -s 10.1.0.0/16 -d 10.1.0.0/16 -j MASQUERADE
 -A POSTROUTING -s 10.1.0.2/32 -d 10.1.0.2/32 -j mine
 -A POSTROUTING -s 10.1.0.2/32 -d 10.1.0.3/32 -j MASQUERADE
- -A DOCKER -i docker0 -j RETURN
- -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
- :DOCKER - [0:0]`},
		{name: "raw", table: "raw", lines: `
- -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP`},
		{name: "hairpin elsewhere", table: "filter", lines: `
 -A FORWARD -s 10.1.0.2/32 -d 10.1.0.2/32 -j ACCEPT`},
		{name: "another table", table: "security", lines: `
- -A FORWARD -o docker0 -j SECMARK --selctx x
 -A INPUT -i docker0 -j SECMARK --selctx x`},
		{name: "bridges", table: "filter", lines: `
- -A FORWARD -i front0 ! -o front0 -j ACCEPT
- -A FORWARD -i br-0123456789ab -o br-0123456789ab -j ACCEPT
 -A FORWARD -i br-0123456789abc -j ACCEPT
 -A FORWARD -i br-0123456789a -j ACCEPT
 -A FORWARD -i br-0123456789ag -j ACCEPT
 -A FORWARD -i br-+ -j ACCEPT
 -A FORWARD -i docker01 -j ACCEPT
 -A FORWARD -i front01 -j ACCEPT
 -A FORWARD -i wg0 -o wg0 -j ACCEPT`},
		{name: "only spoken of", table: "filter", lines: `
 -A FORWARD -m comment --comment "not -o docker0 -j DOCKER" -j ACCEPT
 -A FORWARD -m comment --comment "say \"-A FORWARD -j DOCKER\"" -j ACCEPT
 -A FORWARD -m comment --comment docker0 -j ACCEPT
 -A FORWARD -j LOG --log-prefix "br-0123456789ab "
- -A FORWARD -i docker0 -m comment --comment "mine, \"-j DOCKER-USER\"" -j ACCEPT`, restore: `
-D FORWARD -i docker0 -m comment --comment "mine, \"-j DOCKER-USER\"" -j ACCEPT`},
		{name: "INPUT and others' chains", table: "filter", lines: `
 :mine - [0:0]
 -A INPUT -i docker0 -p tcp -m tcp --dport 22 -j ACCEPT
 -A INPUT -i docker0 -j DOCKER-USER
 -A mine -i docker0 -d 10.1.0.0/16 -j DROP
 -A mine -j DOCKER-USER
 :DOCKER-USER - [0:0]`},
		{name: "DOCKER-USER", table: "filter", lines: `
 -A DOCKER-USER -s 192.0.2.66/32 -j DROP
 -A DOCKER-USER -s 10.0.0.0/8 -j RETURN
 -A DOCKER-USER -i docker0 -j ACCEPT
- -A DOCKER-USER -j RETURN
 :DOCKER-USER - [0:0]`},
		{name: "names that begin like Docker's", table: "filter", lines: `
 :DOCKER-MINE - [0:0]
 :DOCKERS - [0:0]
 -A FORWARD -j DOCKER-MINE
 -A DOCKER-MINE -i docker0 -j DROP`},
		{name: "held", table: "filter", lines: `
= -A mine -j DOCKER
= -A INPUT -g DOCKER-CT
- -A DOCKER -i docker0 -j ACCEPT
- -A DOCKER-FORWARD -j DOCKER
 :DOCKER - [0:0]
 :DOCKER-CT - [0:0]
- :DOCKER-FORWARD - [0:0]`, restore: `
-F DOCKER
-F DOCKER-CT
-F DOCKER-FORWARD
-X DOCKER-FORWARD`},
		{name: "twice the same", table: "filter", lines: `
- -A FORWARD -j DOCKER-USER
- -A FORWARD -j DOCKER-USER`, restore: `
-D FORWARD -j DOCKER-USER
-D FORWARD -j DOCKER-USER`},
	} {
		t.Run(row.name, func(t *testing.T) {
			text, want, held := "*"+row.table+"\n", []string(nil), []string(nil)
			for line := range strings.SplitSeq(strings.TrimPrefix(row.lines, "\n"), "\n") {
				bare := strings.TrimPrefix(line[1:], " ")
				text += bare + "\n"
				switch line[0] {
				case '-':
					want = append(want, bare)
				case '=':
					held = append(held, bare)
				}
			}
			left := parseSave(text + "COMMIT\n")[0].leftover(bridges{"front0"})
			if !slices.Equal(left.Rules, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(left.Rules, "\n"), strings.Join(want, "\n"))
			}
			if !slices.Equal(left.Held, held) {
				t.Errorf("held by %q, want %q", left.Held, held)
			}
			if input := "*" + row.table + row.restore + "\nCOMMIT\n"; row.restore != "" && left.input() != input {
				t.Errorf("restore reads\n%s\nwant\n%s", left.input(), input)
			}
		})
	}
}
