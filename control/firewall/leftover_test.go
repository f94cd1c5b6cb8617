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
- :DOCKER-USER - [0:0]`, restore: `
-D FORWARD -j DOCKER-USER
-D FORWARD -j DOCKER-ISOLATION-STAGE-1
-D FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-D FORWARD -o docker0 -j DOCKER
-D FORWARD -i docker0 ! -o docker0 -j ACCEPT
-F DOCKER
-F DOCKER-ISOLATION-STAGE-1
-F DOCKER-ISOLATION-STAGE-2
-F DOCKER-USER
-X DOCKER
-X DOCKER-ISOLATION-STAGE-1
-X DOCKER-ISOLATION-STAGE-2
-X DOCKER-USER`},
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
- -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
- -A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
- -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS
- -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j SNAT --to-source 192.0.2.1
- -A POSTROUTING -o br-0123456789ab -m addrtype --src-type LOCAL -j MASQUERADE
- -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p sctp -m sctp --dport 80 -j MASQUERADE
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
		{name: "others' nat", table: "nat", lines: `
 -A PREROUTING -i docker0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
 -A PREROUTING -d 192.0.2.1/32 -i docker0 -j RETURN
 -A OUTPUT -o docker0 -j ACCEPT
 -A POSTROUTING -o docker0 -j MASQUERADE
 -A POSTROUTING -s 172.17.0.0/16 -o wg0 -j MASQUERADE
 -A POSTROUTING -s 172.17.0.0/16 ! -o wg0 -j MASQUERADE
 -A POSTROUTING -s 172.17.0.0/16 ! -d 10.0.0.0/8 ! -o docker0 -j MASQUERADE
 -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j SNAT --to-source 192.0.2.1 --random
 -A POSTROUTING -s 10.1.0.2/32 -d 10.1.0.2/32 -j MASQUERADE
 -A POSTROUTING -s 10.1.0.2/32 -d 10.1.0.2/32 -p tcp -m udp --dport 80 -j MASQUERADE
 -A POSTROUTING -s 10.1.0.2/32 -d 10.1.0.2/32 -p tcp -m tcp --dport 80:90 -j MASQUERADE`},
		{name: "raw", table: "raw", lines: `
- -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
- -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP
 -A PREROUTING -d 172.17.0.0/16 ! -i docker0 -j DROP
 -A PREROUTING -d 172.17.0.2/32 ! -i wg0 -j DROP
 -A PREROUTING -d 127.0.0.1/32 ! -i lo -j DROP
 -A PREROUTING -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DROP
 -A PREROUTING ! -i docker0 -j DROP
 -A PREROUTING -i docker0 -p udp -m udp --dport 99 -j NOTRACK
 -A PREROUTING -i docker0 -p udp -m udp --dport 99 -j CT --notrack`},
		{name: "hairpin elsewhere", table: "filter", lines: `
 -A FORWARD -s 10.1.0.2/32 -d 10.1.0.2/32 -j ACCEPT
 -A FORWARD -s 10.1.0.2/32 -d 10.1.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE`},
		{name: "other tables", table: "mangle", lines: `
 -A FORWARD -o docker0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
 -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
 -A INPUT -i docker0 -j MARK --set-xmark 0x1/0xffffffff`},
		{name: "bridges", table: "filter", lines: `
- -A FORWARD -i front0 ! -o front0 -j ACCEPT
- -A FORWARD -i br-0123456789ab -o br-0123456789ab -j ACCEPT
- -A FORWARD -i br-0123456789ab -o br-0123456789ab -j DROP
 -A FORWARD -i br-0123456789ab -o front0 -j ACCEPT
 -A FORWARD -i br-0123456789abc -o br-0123456789abc -j ACCEPT
 -A FORWARD -i br-0123456789a -o br-0123456789a -j ACCEPT
 -A FORWARD -i br-0123456789ag -o br-0123456789ag -j ACCEPT
 -A FORWARD -i br-+ -o br-+ -j ACCEPT
 -A FORWARD -i docker01 -o docker01 -j ACCEPT
 -A FORWARD -i front01 -o front01 -j ACCEPT
 -A FORWARD -i wg0 -o wg0 -j ACCEPT`},
		{name: "others' about its bridges", table: "filter", lines: `
 -A FORWARD -i docker0 -o wg0 -j ACCEPT
 -A FORWARD -i docker0 -j ACCEPT
 -A FORWARD -o docker0 -j DROP
 -A FORWARD -i docker0 ! -o wg0 -j ACCEPT
 -A FORWARD -i docker0 ! -o docker0 -j DROP
 -A FORWARD -o docker0 -m comment --comment mine -j ufw-user
 -A FORWARD -o docker0 -m string --string x --algo bm --to 65535 -j DROP
 -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
 -A FORWARD -i docker0 -o docker0 -m comment --comment mine -j ACCEPT
 -A OUTPUT -o docker0 -j ACCEPT
 -A INPUT -i docker0 -o docker0 -j ACCEPT`},
		{name: "only spoken of", table: "filter", lines: `
 -A FORWARD -m comment --comment "not -o docker0 -j DOCKER" -j ACCEPT
 -A FORWARD -m comment --comment "say \"-A FORWARD -j DOCKER\"" -j ACCEPT
 -A FORWARD -m comment --comment docker0 -j ACCEPT
 -A FORWARD -j LOG --log-prefix "br-0123456789ab "
 -A FORWARD -i docker0 -m comment --comment "mine, \"-j DOCKER-USER\"" -j ACCEPT`},
		{name: "INPUT and others' chains", table: "filter", lines: `
 :mine - [0:0]
- -A FORWARD -j DOCKER-ISOLATION-STAGE-1
 -A FORWARD -j DOCKER-USER
 -A INPUT -i docker0 -p tcp -m tcp --dport 22 -j ACCEPT
 -A INPUT -i docker0 -j DOCKER-USER
 -A mine -i docker0 -d 10.1.0.0/16 -j DROP
 -A DOCKER-USER -j RETURN
 :DOCKER-USER - [0:0]`},
		{name: "DOCKER-USER in use", table: "filter", lines: `
 -A FORWARD -j DOCKER-USER
- -A FORWARD -j DOCKER-FORWARD
 -A DOCKER-USER -s 192.0.2.66/32 -j DROP
 -A DOCKER-USER -j RETURN
 :DOCKER-USER - [0:0]
- :DOCKER-FORWARD - [0:0]`, restore: `
-D FORWARD -j DOCKER-FORWARD
-F DOCKER-FORWARD
-X DOCKER-FORWARD`},
		{name: "DOCKER-USER used by others", table: "filter", lines: `
 -A FORWARD -j DOCKER-USER
 -A mine -j DOCKER-USER
 :DOCKER-USER - [0:0]`},
		{name: "DOCKER-USER without a use", table: "filter", lines: `
- -A FORWARD -j DOCKER-USER
- -A DOCKER-USER -j RETURN
- :DOCKER-USER - [0:0]`, restore: `
-D FORWARD -j DOCKER-USER
-F DOCKER-USER
-X DOCKER-USER`},
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
- -A FORWARD -j DOCKER-FORWARD
- -A FORWARD -j DOCKER-FORWARD`, restore: `
-D FORWARD -j DOCKER-FORWARD
-D FORWARD -j DOCKER-FORWARD`},
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
