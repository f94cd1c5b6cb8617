package docker

import (
	"slices"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// Plain Docker with iptables is the reference: this is what the scenarios' clients see
// with it.
func TestDockerReference(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newStage(t, version, lab.DockerOptions{Iptables: true, Proxy: true})
		for _, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) { s.play(t, sc, sc.plain(version)) })
		}
	})
}

// The same clients see the same with ebnet and without a rule of Docker's, but for the
// differences that the scenarios name.
func TestDockerWithEbnet(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newStage(t, version, lab.DockerOptions{})
		s.agent = s.host.Agent("--docker=" + s.docker.Socket())
		for _, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) { s.play(t, sc, sc.withEbnet(version)) })
			if rules := s.host.Run("nft", "list", "ruleset"); rules != "" {
				t.Errorf("rules after %s:\n%s", sc.name, rules)
			}
		}
	})
}

// scenarios are all that are played.
func scenarios() []scenario {
	return slices.Concat(publishScenarios(), networkScenarios(), connectScenarios(), lifeScenarios(), composeScenarios())
}
