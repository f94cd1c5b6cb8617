package loader

import (
	"testing"

	"github.com/cilium/ebpf/features"
)

// TestChecksumFlag6 asks the kernel, and holds what it says against its version: the flag
// came with Linux 6.16, and older kernels may have it by a backport.
func TestChecksumFlag6(t *testing.T) {
	isolate(t)
	flag, err := checksumFlag6()
	if err != nil {
		t.Fatal(err)
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	if flag != 0 && flag != 1<<7 || version >= 6<<16+16<<8 && flag == 0 {
		t.Errorf("flag %#x on a kernel of version %#x", flag, version)
	}
}
