// Package loader keeps ebnet's kernel objects: it loads the programs, attaches
// them to devices and to the cgroup, pins what must outlive the agent, adopts
// what an earlier agent left running, and removes what ebnet put there.
//
// Everything that must outlive the agent hangs in one folder of a bpffs:
//
//	DIR/v1/maps/NAME            every map
//	DIR/v1/links/tcx-ingress-N  the tcx link of device N, likewise tcx-egress-N
//	DIR/v1/links/cgroup-NAME    the link of a socket hook
//	DIR/v1/qdiscs/N             a folder: the clsact qdisc of device N is ours
//	DIR/v1/netns-COOKIE         a folder: the network namespace that DIR serves
//
// A loader holds its links open, too: pins that somebody removes take nothing off its
// hook as long as the agent lives. Lost tells of them, Repin brings them back.
//
// A clsact filter cannot be pinned and needs no pin: it lives as long as its
// device. Ours is known by its priority, its handle and its program's name.
//
// Whatever deals with devices works in the network namespace of the calling
// thread, which has to be the one that DIR serves.
package loader
