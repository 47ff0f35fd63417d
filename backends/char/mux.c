/* SPDX-License-Identifier: MIT */
/*
 * Character back end "mux": shares one back end among several front ends. All may write; one has
 * the input. The escape character (Ctrl-A or what -echr says) and a letter switch between them, end
 * the program, and so on; the escape character twice sends it.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "backends/lock.h"
#include "base/error.h"
#include "block/block.h"
#include "machine/chardev.h"

/*
 * A queue takes twice what is asked for at once: what follows a switch of focus goes to another
 * client, whose queue may already hold as much.
 */
enum { MUX_FRONTENDS_MAX = 32, MUX_INPUT_MAX = 64, MUX_ESCAPE_DEFAULT = 1 };

typedef struct {
    const ChardevFrontend *frontend;
    void *opaque;
    uint8_t queue[2 * MUX_INPUT_MAX]; /* input that the front end has no room for yet */
    unsigned queued;
} MuxClient;

typedef struct {
    Chardev chardev;
    Chardev *base;      /* property "chardev" */
    GPtrArray *clients; /* MuxClient * */
    MuxClient *focus;
    MuxClient *told; /* the one that last got CHARDEV_MUX_IN */
    guint announce;  /* idle source that tells who has the focus */
    bool escaped;    /* the last input character was the escape character */
    bool timestamps, line_start;
    int64_t timestamps_start_us;
} MuxChardev;

static void mux_client_event(MuxClient *client, ChardevEvent event)
{
    if (client->frontend->event) {
        client->frontend->event(client->opaque, event);
    }
}

static void mux_accept_input(Chardev *chardev);

static gboolean mux_announce(gpointer opaque)
{
    MuxChardev *m = opaque;
    Machine *machine = m->chardev.machine;
    bool taken = backend_lock(machine);

    if (!backend_source_removed()) {
        MuxClient *old = m->told;

        m->announce = 0;
        m->told = m->focus;
        if (old != m->focus) {
            if (old) {
                mux_client_event(old, CHARDEV_MUX_OUT);
            }
            if (m->focus) {
                mux_client_event(m->focus, CHARDEV_MUX_IN);
            }
        }
        mux_accept_input(&m->chardev);
    }
    backend_unlock(machine, taken);
    return G_SOURCE_REMOVE;
}

/* Front ends hear of it from the main loop: while the machine is built, the focus may still move.
 */
static void mux_set_focus(MuxChardev *m, MuxClient *client)
{
    m->focus = client;
    if (!m->announce) {
        m->announce = g_idle_add(mux_announce, m);
    }
}

static void mux_next_focus(MuxChardev *m)
{
    guint index = 0;

    if (m->clients->len && m->focus && g_ptr_array_find(m->clients, m->focus, &index)) {
        mux_set_focus(m, m->clients->pdata[(index + 1) % m->clients->len]);
    }
}

static void mux_print(MuxChardev *m, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void mux_print(MuxChardev *m, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    chardev_write(m->base, text, strlen(text));
    g_free(text);
}

static int mux_escape(const MuxChardev *m)
{
    int configured = m->chardev.machine->config.escape_character;

    return configured ? configured : MUX_ESCAPE_DEFAULT;
}

static void mux_print_help(MuxChardev *m)
{
    static const struct {
        char key;
        const char *summary;
    } keys[] = {
        { 'h', "shows this list" },
        { 'x', "ends Kaso" },
        { 's', "writes cached disk data to the images" },
        { 't', "turns timestamps at line starts on or off" },
        { 'b', "sends a break (magic SysRq)" },
        { 'c', "switches between console and monitor" },
    };
    int escape = mux_escape(m);
    char name[8];

    if (escape < 32) {
        snprintf(name, sizeof name, "C-%c", tolower(escape + '@'));
    } else {
        snprintf(name, sizeof name, isprint(escape) ? "%c" : "0x%x", escape);
    }
    mux_print(m, "\n\r");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        mux_print(m, "%s %c    %s\n\r", name, keys[i].key, keys[i].summary);
    }
    mux_print(m, "%s %s  sends %s\n\r", name, name, name);
}

static void mux_ignore_completion(void *opaque, int result)
{
}

static void mux_flush_drives(MuxChardev *m)
{
    GPtrArray *drives = machine_drives(m->chardev.machine);

    for (guint i = 0; drives && i < drives->len; i++) {
        if (drives->pdata[i] && !block_read_only(drives->pdata[i])) {
            block_flush(drives->pdata[i], mux_ignore_completion, NULL);
        }
    }
}

/* A character after the escape character; returns whether it goes to the front end. */
static bool mux_command(MuxChardev *m, uint8_t character)
{
    if (character == mux_escape(m)) {
        return true;
    }
    switch (character) {
    case 'h':
    case '?':
        mux_print_help(m);
        break;
    case 'x':
        mux_print(m, "\n\r");
        machine_request_stop(m->chardev.machine, STOP_USER_QUIT, NULL);
        break;
    case 's':
        mux_flush_drives(m);
        break;
    case 'b':
        if (m->focus) {
            mux_client_event(m->focus, CHARDEV_BREAK);
        }
        break;
    case 'c':
        mux_next_focus(m);
        break;
    case 't':
        m->timestamps = !m->timestamps;
        m->timestamps_start_us = g_get_monotonic_time();
        m->line_start = false;
        break;
    }
    return false;
}

/* Gives queued input as far as the front end has room. */
static void mux_deliver(MuxClient *client)
{
    unsigned done = 0;

    while (done < client->queued) {
        size_t room = client->frontend->can_receive(client->opaque);
        size_t n = MIN(room, client->queued - done);

        if (!n) {
            break;
        }
        client->frontend->receive(client->opaque, client->queue + done, n);
        done += n;
    }
    memmove(client->queue, client->queue + done, client->queued - done);
    client->queued -= done;
}

static size_t mux_can_receive(void *opaque)
{
    MuxChardev *m = opaque;

    unsigned queued = m->focus ? m->focus->queued : 0;

    return queued < MUX_INPUT_MAX ? MUX_INPUT_MAX - queued : 0;
}

static void mux_receive(void *opaque, const uint8_t *data, size_t size)
{
    MuxChardev *m = opaque;

    for (size_t i = 0; i < size; i++) {
        bool pass;

        if (m->escaped) {
            m->escaped = false;
            pass = mux_command(m, data[i]);
        } else {
            m->escaped = data[i] == mux_escape(m);
            pass = !m->escaped;
        }
        if (pass && m->focus && m->focus->queued < sizeof m->focus->queue) {
            m->focus->queue[m->focus->queued++] = data[i];
        }
    }
    if (m->focus && !m->announce) {
        mux_deliver(m->focus);
    }
}

static void mux_event(void *opaque, ChardevEvent event)
{
    MuxChardev *m = opaque;

    if (event == CHARDEV_BREAK) {
        if (m->focus) {
            mux_client_event(m->focus, event);
        }
        return;
    }
    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        m->chardev.open = event == CHARDEV_OPENED;
        m->escaped = false;
    }
    if (event == CHARDEV_RESIZED) {
        m->chardev.columns = m->base->columns;
        m->chardev.rows = m->base->rows;
    }
    for (guint i = 0; i < m->clients->len; i++) {
        mux_client_event(m->clients->pdata[i], event);
    }
}

static void mux_can_write(void *opaque)
{
    MuxChardev *m = opaque;

    for (guint i = 0; i < m->clients->len; i++) {
        MuxClient *client = m->clients->pdata[i];

        if (client->frontend->can_write) {
            client->frontend->can_write(client->opaque);
        }
    }
}

static const ChardevFrontend mux_frontend = {
    .can_receive = mux_can_receive,
    .receive = mux_receive,
    .event = mux_event,
    .can_write = mux_can_write,
};

static bool mux_open(Chardev *chardev, GError **error)
{
    MuxChardev *m = (MuxChardev *)chardev;

    if (!m->base) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': a mux needs chardev=ID",
                          chardev->id);
    }
    m->clients = g_ptr_array_new_with_free_func(g_free);
    m->line_start = true;
    if (!chardev_attach(m->base, &mux_frontend, m, error)) {
        g_ptr_array_unref(m->clients);
        return false;
    }
    chardev->open = m->base->open;
    chardev->columns = m->base->columns;
    chardev->rows = m->base->rows;
    return true;
}

static void mux_close(Chardev *chardev)
{
    MuxChardev *m = (MuxChardev *)chardev;

    g_clear_handle_id(&m->announce, g_source_remove);
    if (m->base) {
        chardev_detach(m->base, m);
    }
    g_ptr_array_unref(m->clients);
}

static bool mux_attach(Chardev *chardev, const ChardevFrontend *frontend, void *opaque,
                       GError **error)
{
    MuxChardev *m = (MuxChardev *)chardev;
    MuxClient *client;

    if (m->clients->len >= MUX_FRONTENDS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s': no more than %d front ends can share it", chardev->id,
                          MUX_FRONTENDS_MAX);
    }
    client = g_new0(MuxClient, 1);
    client->frontend = frontend;
    client->opaque = opaque;
    g_ptr_array_add(m->clients, client);
    if (!m->focus || (m->focus->frontend->background && !frontend->background)) {
        mux_set_focus(m, client);
    }
    if (chardev->open) {
        mux_client_event(client, CHARDEV_OPENED);
    }
    return true;
}

static void mux_detach(Chardev *chardev, void *opaque)
{
    MuxChardev *m = (MuxChardev *)chardev;

    for (guint i = 0; i < m->clients->len; i++) {
        MuxClient *client = m->clients->pdata[i];

        if (client->opaque != opaque) {
            continue;
        }
        if (m->told == client) {
            m->told = NULL;
        }
        if (m->focus == client) {
            mux_next_focus(m);
            m->focus = m->focus == client ? NULL : m->focus;
        }
        g_ptr_array_remove_index(m->clients, i);
        return;
    }
}

/* As write, with the time since timestamps were turned on before each line. */
static void mux_write_timestamped(MuxChardev *m, const uint8_t *data, size_t size)
{
    GString *out = g_string_sized_new(size + 32);

    for (size_t i = 0; i < size; i++) {
        if (m->line_start) {
            int64_t ms = (g_get_monotonic_time() - m->timestamps_start_us) / 1000;

            g_string_append_printf(out, "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000),
                                   (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
        }
        g_string_append_c(out, data[i]);
        m->line_start = data[i] == '\n';
    }
    chardev_write(m->base, out->str, out->len);
    g_string_free(out, TRUE);
}

static size_t mux_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    MuxChardev *m = (MuxChardev *)chardev;

    if (m->timestamps) {
        mux_write_timestamped(m, data, size);
        return size;
    }
    return chardev_write(m->base, data, size);
}

static void mux_accept_input(Chardev *chardev)
{
    MuxChardev *m = (MuxChardev *)chardev;

    if (m->focus && !m->announce) {
        mux_deliver(m->focus);
    }
    chardev_accept_input(m->base);
}

static void mux_set_break(Chardev *chardev, bool on)
{
    MuxChardev *m = (MuxChardev *)chardev;

    if (m->base->type->set_break) {
        m->base->type->set_break(m->base, on);
    }
}

static char *mux_describe(Chardev *chardev)
{
    return g_strdup("mux");
}

static const Property mux_properties[] = {
    { "chardev", PROPERTY_CHARDEV, offsetof(MuxChardev, base), "back end to share" },
    { NULL },
};

static const ChardevType mux_type = {
    .name = "mux",
    .summary = "Shares a back end among several front ends",
    .instance_size = sizeof(MuxChardev),
    .properties = mux_properties,
    .open = mux_open,
    .close = mux_close,
    .write = mux_write,
    .accept_input = mux_accept_input,
    .set_break = mux_set_break,
    .describe = mux_describe,
    .attach = mux_attach,
    .detach = mux_detach,
};
CHARDEV_TYPE(mux_type);
