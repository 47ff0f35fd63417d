/* SPDX-License-Identifier: MIT */
/*
 * Character back end "qemu-vdagent": the host's end of the SPICE agent's protocol (spice-protocol, vd_agent.h), for a guest with
 * spice-vdagent on a virtserialport named com.redhat.spice.0. It shares the clipboard, and gives the guest a pointer that takes
 * places where the machine has no tablet.
 *
 * Not modelled: monitors, files, images.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/chardev.h"
#include "machine/clipboard.h"
#include "machine/display.h"
#include "machine/input.h"
#include "machine/machine.h"

enum { PORT_CLIENT = 1, CHUNK_HEAD = 8, CHUNK_MAX = 2048, MESSAGE_HEAD = 20, PROTOCOL = 1 };
enum {
    MESSAGE_MOUSE = 1,
    MESSAGE_CLIPBOARD = 4,
    MESSAGE_CAPABILITIES = 6,
    MESSAGE_GRAB,
    MESSAGE_REQUEST,
    MESSAGE_RELEASE
};
enum { CAN_MOUSE = 1 << 0, CAN_CLIPBOARD_BY_DEMAND = 1 << 5, CAN_CLIPBOARD_SELECTION = 1 << 6 };
enum {
    SELECTION_CLIPBOARD = 0,
    TYPE_TEXT = 1,
    MESSAGE_MAX = CLIPBOARD_MAX + 64,
    OUTPUT_MAX = 4 << 20
};

typedef struct {
    Chardev chardev;
    bool clipboard, mouse;       /* properties */
    char *name;                  /* property: for SPICE, of which there is none */
    GByteArray *chunk, *message; /* received and not yet complete */
    GByteArray *output;          /* that the guest has not taken */
    unsigned capabilities;       /* of the agent; 0: it has not told them */
    ClipboardPeer peer;
    InputHandler pointer; /* while the agent takes one */
    unsigned buttons;     /* InputButtons that are down */
    int32_t place[INPUT_AXIS_COUNT];
} VdagentChardev;

static VdagentChardev *vdagent(Chardev *chardev)
{
    return (VdagentChardev *)chardev;
}

/* To the guest. */

static void give_output(VdagentChardev *v)
{
    while (v->output->len) {
        size_t size = MIN(chardev_can_receive(&v->chardev), v->output->len);

        if (!size) {
            return;
        }
        chardev_receive(&v->chardev, v->output->data, size);
        g_byte_array_remove_range(v->output, 0, (guint)size);
    }
}

/* A message in chunks, as long as the port takes them. */
static void send_message(VdagentChardev *v, unsigned type, const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    uint8_t head[MESSAGE_HEAD] = { 0 }, chunk[CHUNK_HEAD];

    if (v->output->len > OUTPUT_MAX) {
        return; /* the agent has gone to sleep */
    }
    store_le32(head, PROTOCOL);
    store_le32(head + 4, type);
    store_le32(head + 16, (uint32_t)size);
    g_byte_array_append(message, head, sizeof(head));
    g_byte_array_append(message, data, (guint)size);
    for (guint at = 0; at < message->len; at += CHUNK_MAX) {
        guint bytes = MIN(CHUNK_MAX, message->len - at);

        store_le32(chunk, PORT_CLIENT);
        store_le32(chunk + 4, bytes);
        g_byte_array_append(v->output, chunk, sizeof(chunk));
        g_byte_array_append(v->output, message->data + at, bytes);
    }
    give_output(v);
}

/* About the clipboard: its selection where the agent knows several, a type, and data. */
static void send_clipboard(VdagentChardev *v, unsigned message, const char *text)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    uint8_t word[4] = { SELECTION_CLIPBOARD };

    if (v->capabilities & CAN_CLIPBOARD_SELECTION) {
        g_byte_array_append(data, word, sizeof(word));
    }
    store_le32(word, TYPE_TEXT);
    g_byte_array_append(data, word, sizeof(word));
    g_byte_array_append(data, (const guint8 *)text, (guint)strlen(text));
    send_message(v, message, data->data, data->len);
}

static void send_capabilities(VdagentChardev *v)
{
    uint8_t data[8] = { 0 }; /* no answer is asked for */

    store_le32(data + 4, (v->clipboard ? CAN_CLIPBOARD_BY_DEMAND | CAN_CLIPBOARD_SELECTION : 0) |
                             (v->mouse ? CAN_MOUSE : 0));
    send_message(v, MESSAGE_CAPABILITIES, data, sizeof(data));
}

static void changed(ClipboardPeer *peer)
{
    VdagentChardev *v = container_of(peer, VdagentChardev, peer);

    if (v->capabilities & CAN_CLIPBOARD_BY_DEMAND) {
        send_clipboard(v, MESSAGE_GRAB, "");
    }
}

/* The pointer. */

static void pointer_event(void *opaque, const InputEvent *event)
{
    VdagentChardev *v = opaque;

    if (event->kind == INPUT_ABSOLUTE && event->code < INPUT_AXIS_COUNT) {
        v->place[event->code] = event->value;
    } else if (event->kind == INPUT_BUTTON && event->code < INPUT_BUTTON_COUNT) {
        v->buttons = (v->buttons & ~(1u << event->code)) | (event->value ? 1u << event->code : 0);
    }
}

/* Bits of the protocol, in the order of InputButton. */
static uint32_t button_mask(unsigned buttons)
{
    static const uint8_t bits[] = { 1, 2, 3, 4, 5, 6, 7 };
    uint32_t mask = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
        mask |= (buttons >> i & 1) << bits[i];
    }
    return mask;
}

static void pointer_sync(void *opaque)
{
    VdagentChardev *v = opaque;
    GPtrArray *displays = machine_displays(v->chardev.machine);
    pixman_image_t *surface = displays->len ? display_surface(displays->pdata[0]) : NULL;
    uint8_t data[13] = { 0 }; /* x, y, buttons, and which screen */

    if (!surface) {
        return;
    }
    store_le32(data, (uint32_t)((int64_t)v->place[INPUT_X] * pixman_image_get_width(surface) /
                                (INPUT_ABSOLUTE_MAX + 1)));
    store_le32(data + 4, (uint32_t)((int64_t)v->place[INPUT_Y] * pixman_image_get_height(surface) /
                                    (INPUT_ABSOLUTE_MAX + 1)));
    store_le32(data + 8, button_mask(v->buttons));
    send_message(v, MESSAGE_MOUSE, data, sizeof(data));
}

static const InputHandlerType pointer_type = {
    .name = "vdagent mouse",
    .kinds = INPUT_BUTTON | INPUT_ABSOLUTE,
    .event = pointer_event,
    .sync = pointer_sync,
};

/* Only while an agent is there: without one, what it is not told would be lost. */
static void set_pointer(VdagentChardev *v, bool wanted)
{
    if (wanted && !v->pointer.machine) {
        v->buttons = 0;
        input_add_handler(&v->pointer, v->chardev.machine, &pointer_type, v);
        input_activate_handler(&v->pointer);
    } else if (!wanted) {
        input_remove_handler(&v->pointer);
    }
}

/* From the guest. */

static void take_capabilities(VdagentChardev *v, const uint8_t *data, size_t size)
{
    if (size < 8) {
        return;
    }
    v->capabilities = load_le32(data + 4);
    if (load_le32(data)) {
        send_capabilities(v);
    }
    set_pointer(v, v->mouse && v->capabilities & CAN_MOUSE);
    if (v->clipboard && *clipboard_text(v->chardev.machine)) {
        changed(&v->peer);
    }
}

/* data: behind the selection. */
static void take_clipboard(VdagentChardev *v, unsigned message, const uint8_t *data, size_t size)
{
    Machine *machine = v->chardev.machine;

    if (message == MESSAGE_GRAB) {
        for (size_t i = 0; i + 4 <= size; i += 4) {
            if (load_le32(data + i) == TYPE_TEXT) {
                send_clipboard(v, MESSAGE_REQUEST, "");
                return;
            }
        }
    } else if (size >= 4 && load_le32(data) == TYPE_TEXT) {
        if (message == MESSAGE_REQUEST) {
            send_clipboard(v, MESSAGE_CLIPBOARD, clipboard_text(machine));
        } else if (message == MESSAGE_CLIPBOARD) {
            g_autofree char *text = g_strndup((const char *)data + 4, size - 4);

            clipboard_set_text(machine, &v->peer, text);
        }
    }
}

static void take_message(VdagentChardev *v, const uint8_t *message)
{
    unsigned type = load_le32(message + 4);
    const uint8_t *data = message + MESSAGE_HEAD;
    size_t size = load_le32(message + 16);

    if (type == MESSAGE_CAPABILITIES) {
        take_capabilities(v, data, size);
        return;
    }
    if (!v->clipboard ||
        (type != MESSAGE_CLIPBOARD && type != MESSAGE_GRAB && type != MESSAGE_REQUEST)) {
        return;
    }
    if (v->capabilities & CAN_CLIPBOARD_SELECTION) {
        if (size < 4 || data[0] != SELECTION_CLIPBOARD) {
            return;
        }
        data += 4;
        size -= 4;
    }
    take_clipboard(v, type, data, size);
}

/* Whole messages off the front; false: what has come is none. */
static bool take_messages(VdagentChardev *v)
{
    GByteArray *in = v->message;

    while (in->len >= MESSAGE_HEAD) {
        uint32_t size = load_le32(in->data + 16);

        if (load_le32(in->data) != PROTOCOL || size > MESSAGE_MAX) {
            return false;
        }
        if (in->len < MESSAGE_HEAD + size) {
            break;
        }
        take_message(v, in->data);
        g_byte_array_remove_range(in, 0, MESSAGE_HEAD + size);
    }
    return true;
}

static void forget(VdagentChardev *v)
{
    g_byte_array_set_size(v->chunk, 0);
    g_byte_array_set_size(v->message, 0);
}

/* The agent of before has gone, and what it was told or said in part goes with it. */
static void vdagent_guest_opened(Chardev *chardev, bool open)
{
    VdagentChardev *v = vdagent(chardev);

    forget(v);
    g_byte_array_set_size(v->output, 0);
    v->capabilities = 0;
    set_pointer(v, false);
}

static size_t vdagent_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    VdagentChardev *v = vdagent(chardev);
    GByteArray *in = v->chunk;

    g_byte_array_append(in, data, (guint)size);
    while (in->len >= CHUNK_HEAD) {
        uint32_t bytes = load_le32(in->data + 4);

        if (load_le32(in->data) > 2 || bytes > MESSAGE_MAX) {
            log_guest_error(chardev->id, "no chunk of an agent");
            forget(v);
            break;
        }
        if (in->len < CHUNK_HEAD + bytes) {
            break;
        }
        g_byte_array_append(v->message, in->data + CHUNK_HEAD, bytes);
        g_byte_array_remove_range(in, 0, CHUNK_HEAD + bytes);
        if (!take_messages(v)) {
            log_guest_error(chardev->id, "no message of an agent");
            forget(v);
        }
    }
    return size;
}

static bool vdagent_open(Chardev *chardev, GError **error)
{
    VdagentChardev *v = vdagent(chardev);

    v->chunk = g_byte_array_new();
    v->message = g_byte_array_new();
    v->output = g_byte_array_new();
    v->peer.changed = changed;
    if (v->clipboard) {
        clipboard_add_peer(chardev->machine, &v->peer);
    }
    chardev->open = true;
    return true;
}

static void vdagent_close(Chardev *chardev)
{
    VdagentChardev *v = vdagent(chardev);

    set_pointer(v, false);
    clipboard_remove_peer(chardev->machine, &v->peer);
    g_byte_array_unref(v->chunk);
    g_byte_array_unref(v->message);
    g_byte_array_unref(v->output);
}

static void vdagent_accept_input(Chardev *chardev)
{
    give_output(vdagent(chardev));
}

static char *vdagent_describe(Chardev *chardev)
{
    return g_strdup("qemu-vdagent");
}

static const Property vdagent_properties[] = {
    { "clipboard", PROPERTY_BOOL, offsetof(VdagentChardev, clipboard),
      "share the clipboard with the host" },
    { "mouse", PROPERTY_BOOL, offsetof(VdagentChardev, mouse),
      "give the guest a pointer by its agent (default off)" },
    { "name", PROPERTY_STRING, offsetof(VdagentChardev, name), "accepted; has no effect" },
    { NULL },
};

static const ChardevType qemu_vdagent_type = {
    .name = "qemu-vdagent",
    .summary = "The SPICE agent in the guest: a clipboard that host and guest share, a pointer",
    .instance_size = sizeof(VdagentChardev),
    .properties = vdagent_properties,
    .open = vdagent_open,
    .close = vdagent_close,
    .write = vdagent_write,
    .guest_opened = vdagent_guest_opened,
    .accept_input = vdagent_accept_input,
    .describe = vdagent_describe,
};
CHARDEV_TYPE(qemu_vdagent_type);
