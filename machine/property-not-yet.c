/* SPDX-License-Identifier: MIT */
/* Properties that users of other emulators know of devices that we have, and that are not built; what is built comes out of the list. */
#include "machine/private.h"

const NotYet properties_not_yet[] = {
    { "aer_log_max", "ports report no errors (AER)" },
    { "backend_defaults", "leave it out" },
    { "stats-intervals", "give it to the -drive" },
    { "iothread-vq-mapping", "give an iothread= where there is one" },
    { "ebpf-rss-fds hash-ipv4 hash-ipv6 hash-ipv6ex hash-tcp4 hash-tcp6 hash-tcp6ex hash-udp4 "
      "hash-udp6 hash-udp6ex "
      "rsc_interval",
      "frames are not spread by hashes, nor put together" },
    { "page-poison opened", "leave it out" },
    { "poll-weight thread-pool-min thread-pool-max", "all I/O threads share one pool of workers" },
    { "prealloc-context pmem rom", "memory of a file is plain, and filled by one thread" },
    { "encoding", "texts are UTF-8" },
    { "cmb_size_mb legacy-cmb pmrdev", "the controller has no memory of its own" },
    { "sriov_* sriov-*", "no function of it is virtual" },
    { "zoned zoned.* fdp fdp.* atomic.* subsys detached shared spdm_port spdm_trans ocp dbcs ms "
      "mset pi pil pif mcl "
      "mssrl msrc ctratt.mem",
      "namespaces are plain, and of one controller" },
    { "baudbase wakeup win2k-install-hack big-endian-framebuffer", "leave it out" },
    { 0 },
};
