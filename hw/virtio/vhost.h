/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half of a virtio device (Linux, include/uapi/linux/vhost.h): it takes chains from a few of the device's queues and returns
 * them itself, and this program hears of nothing but interrupts that no kernel makes. With the machine lock.
 *
 * While it runs, the queues' state is the kernel's; vhost_stop brings it back. The kernel writes guest memory without saying where, so it is stopped
 * while somebody else needs memory to stand still.
 */
#ifndef HW_VIRTIO_VHOST_H
#define HW_VIRTIO_VHOST_H

#include "hw/virtio/virtio.h"

typedef struct Vhost Vhost;

/* For the queues first … first + count - 1 by way of fd, which stays the caller's. */
Vhost *vhost_new(VirtioDevice *virtio, int fd, unsigned first, unsigned count, GError **error);
/* Stops it first. NULL: nothing happens. */
void vhost_free(Vhost *vhost);
/* features: what the driver has accepted, and of the kernel's own. A queue that the driver has not set up is left out. */
bool vhost_start(Vhost *vhost, uint64_t features, GError **error);
void vhost_stop(Vhost *vhost);
bool vhost_is_running(const Vhost *vhost);
/* Whether the kernel's half of the queue is at work. */
bool vhost_has_queue(const Vhost *vhost, unsigned queue);
void vhost_kick(Vhost *vhost, unsigned queue);
/* By which it is kicked, and by which it interrupts. Of a queue that it has. */
void vhost_queue_descriptors(const Vhost *vhost, unsigned queue, int *kick, int *call);
/* Memory may be elsewhere now. false with an error: the queues are not in memory any more, or the kernel refuses; it is stopped. */
bool vhost_memory_changed(Vhost *vhost, GError **error);
/* The file that a queue's frames go to and come from (VHOST_NET_SET_BACKEND); -1: none. Index from `first`. */
bool vhost_net_set_backend(Vhost *vhost, unsigned index, int file, GError **error);

#endif
