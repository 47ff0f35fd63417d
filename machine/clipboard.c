/* SPDX-License-Identifier: MIT */
#include "machine/clipboard.h"

#include <string.h>

#include "machine/machine.h"

typedef struct {
    Machine *machine;
    GPtrArray *peers; /* ClipboardPeer * */
    char *text;
} Clipboard;

static void free_clipboard(void *opaque)
{
    Clipboard *clipboard = opaque;

    machine_set_data(clipboard->machine, "clipboard", NULL); /* peers may go later */
    g_ptr_array_unref(clipboard->peers);
    g_free(clipboard->text);
    g_free(clipboard);
}

static Clipboard *clipboard_of(Machine *machine)
{
    Clipboard *clipboard = machine_get_data(machine, "clipboard");

    if (!clipboard) {
        clipboard = g_new0(Clipboard, 1);
        clipboard->machine = machine;
        clipboard->peers = g_ptr_array_new();
        clipboard->text = g_strdup("");
        machine_set_data(machine, "clipboard", clipboard);
        machine_on_free(machine, free_clipboard, clipboard);
    }
    return clipboard;
}

void clipboard_add_peer(Machine *machine, ClipboardPeer *peer)
{
    g_ptr_array_add(clipboard_of(machine)->peers, peer);
}

void clipboard_remove_peer(Machine *machine, ClipboardPeer *peer)
{
    Clipboard *clipboard = machine_get_data(machine, "clipboard");

    if (clipboard) {
        g_ptr_array_remove(clipboard->peers, peer);
    }
}

void clipboard_set_text(Machine *machine, const ClipboardPeer *from, const char *text)
{
    Clipboard *clipboard = clipboard_of(machine);

    /* The same again would go round between those who tell what they are told. */
    if (strlen(text) > CLIPBOARD_MAX || !g_utf8_validate(text, -1, NULL) ||
        strcmp(text, clipboard->text) == 0) {
        return;
    }
    g_free(clipboard->text);
    clipboard->text = g_strdup(text);
    for (guint i = 0; i < clipboard->peers->len; i++) {
        ClipboardPeer *peer = clipboard->peers->pdata[i];

        if (peer != from) {
            peer->changed(peer);
        }
    }
}

const char *clipboard_text(Machine *machine)
{
    return clipboard_of(machine)->text;
}
