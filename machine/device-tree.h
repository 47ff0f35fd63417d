/* SPDX-License-Identifier: MIT */
/* The device tree that a board gives its guest, for the monitor. */
#ifndef MACHINE_DEVICE_TREE_H
#define MACHINE_DEVICE_TREE_H

/* What is attached to the machine by this name (machine_attach): the tree in its flat form, which tells its own size. Boards without one attach nothing. */
#define MACHINE_DEVICE_TREE "device-tree"

#endif
