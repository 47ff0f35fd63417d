/* SPDX-License-Identifier: MIT */
/*
 * The clipboard that host and guest share: a text, which whoever has it last sets for all others: the guest's agent, a window, a
 * VNC client. Under the machine lock.
 */
#ifndef MACHINE_CLIPBOARD_H
#define MACHINE_CLIPBOARD_H

typedef struct Machine Machine;

enum { CLIPBOARD_MAX = 1 << 20 }; /* bytes; what is longer stays where it is */

/* Embedded by who takes part. */
typedef struct ClipboardPeer {
    void (*changed)(struct ClipboardPeer *peer); /* somebody else has set the text */
} ClipboardPeer;

void clipboard_add_peer(Machine *machine, ClipboardPeer *peer);
/* One that was not added is left in peace. */
void clipboard_remove_peer(Machine *machine, ClipboardPeer *peer);
/* text: UTF-8 with line feeds; what is no UTF-8 or too long is refused silently. from: may be no peer. */
void clipboard_set_text(Machine *machine, const ClipboardPeer *from, const char *text);
/* "" when nobody has set it. Valid until it is set again. */
const char *clipboard_text(Machine *machine);

#endif
