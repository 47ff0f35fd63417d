/* SPDX-License-Identifier: MIT */
/* The short forms of -serial, -parallel and -monitor: "tcp:host:port,server=on" and the like. */
#include <string.h>

#include "backends/chardev-open.h"
#include "backends/socket-address.h"
#include "base/error.h"
#include "base/key-values.h"

static void short_set(GHashTable *options, const char *name, char *value)
{
    g_hash_table_replace(options, g_strdup(name), value);
}

static bool short_set_address(GHashTable *options, const char *address, const char *host_name,
                              const char *port_name, const char *form, GError **error)
{
    char *host, *port;

    if (!socket_address_split(address, &host, &port)) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s': expected HOST:PORT, found '%s'", form,
                          address);
    }
    if (*host) {
        short_set(options, host_name, host);
    } else {
        g_free(host);
    }
    short_set(options, port_name, port);
    return true;
}

/*
 * The path may have its name before it ("unix:path=/a"), and any option may come first
 * ("unix:server=on,path=/a"). A '=' in a folder's or file's name makes no option of it.
 */
static bool short_parse_unix(const char *form, const char *item, GHashTable *options,
                             GError **error)
{
    const char *equals = strchr(item, '=');

    if (!*item) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s': give unix:PATH", form);
    }
    if (!equals || memchr(item, '/', (size_t)(equals - item))) {
        short_set(options, "path", g_strdup(item));
    } else {
        g_hash_table_replace(options, g_strndup(item, (size_t)(equals - item)),
                             g_strdup(equals + 1));
    }
    return true;
}

static bool short_parse_socket(const char *form, const char *kind, const char *address,
                               GHashTable *options, GError **error)
{
    if (!strcmp(kind, "unix")) {
        return short_parse_unix(form, address, options, error);
    }
    if (!strcmp(kind, "telnet") || !strcmp(kind, "websocket") || !strcmp(kind, "tn3270")) {
        short_set(options, kind, g_strdup("on"));
    }
    return short_set_address(options, address, "host", "port", form, error);
}

/* "[host]:port[@[local]:localport]" */
static bool short_parse_udp(const char *form, const char *address, GHashTable *options,
                            GError **error)
{
    char **parts = g_strsplit(address, "@", 2);
    bool ok = short_set_address(options, parts[0] ? parts[0] : "", "host", "port", form, error);

    if (ok && parts[1]) {
        ok = short_set_address(options, parts[1], "localaddr", "localport", form, error);
    }
    g_strfreev(parts);
    return ok;
}

/* "800x600" in pixels, "80Cx24C" in characters, or nothing. */
static bool short_parse_size(const char *form, const char *size, GHashTable *options,
                             GError **error)
{
    g_autoptr(GRegex) shape = g_regex_new("^([0-9]+)(C?)x([0-9]+)(C?)$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *unit = NULL, *other_unit = NULL;

    if (!size) {
        return true;
    }
    if (!g_regex_match(shape, size, 0, &match)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s': give vc:WIDTHxHEIGHT in pixels, or vc:COLUMNSCxROWSC", form);
    }
    unit = g_match_info_fetch(match, 2);
    other_unit = g_match_info_fetch(match, 4);
    short_set(options, *unit ? "cols" : "width", g_match_info_fetch(match, 1));
    short_set(options, *other_unit ? "rows" : "height", g_match_info_fetch(match, 3));
    return true;
}

typedef enum {
    SHORT_NOTHING,
    SHORT_PATH,
    SHORT_OPTIONAL_PATH,
    SHORT_SOCKET,
    SHORT_UDP,
    SHORT_SIZE
} ShortTail;

static const struct {
    const char *word; /* before the colon */
    const char *type; /* of the chardev */
    ShortTail tail;   /* what follows the colon */
} short_forms[] = {
    { "stdio", "stdio", SHORT_NOTHING },
    { "null", "null", SHORT_NOTHING },
    { "pty", "pty", SHORT_OPTIONAL_PATH },
    { "ringbuf", "ringbuf", SHORT_NOTHING },
    { "vc", "vc", SHORT_SIZE },
    { "msmouse", "msmouse", SHORT_NOTHING },
    { "braille", "braille", SHORT_NOTHING },
    { "wctablet", "wctablet", SHORT_NOTHING },
    { "file", "file", SHORT_PATH },
    { "pipe", "pipe", SHORT_PATH },
    { "tcp", "socket", SHORT_SOCKET },
    { "telnet", "socket", SHORT_SOCKET },
    { "websocket", "socket", SHORT_SOCKET },
    { "tn3270", "socket", SHORT_SOCKET },
    { "unix", "socket", SHORT_SOCKET },
    { "udp", "udp", SHORT_UDP },
};

static bool short_parse_known(const char *form, size_t index, const char *argument, char **type,
                              GHashTable *options, GError **error)
{
    const char *word = short_forms[index].word;

    *type = g_strdup(short_forms[index].type);
    switch (short_forms[index].tail) {
    case SHORT_PATH:
        if (!argument || !*argument) {
            return error_fail(error, KASO_ERROR_INVALID, "'%s': give %s:PATH", form, word);
        }
        short_set(options, "path", g_strdup(argument));
        return true;
    case SHORT_OPTIONAL_PATH:
        if (argument && *argument) {
            short_set(options, "path", g_strdup(argument));
        }
        return true;
    case SHORT_SOCKET:
        return short_parse_socket(form, word, argument ? argument : "", options, error);
    case SHORT_UDP:
        return short_parse_udp(form, argument ? argument : "", options, error);
    case SHORT_SIZE:
        return short_parse_size(form, argument, options, error);
    case SHORT_NOTHING:
        break;
    }
    if (argument) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s': nothing may follow '%s:'", form, word);
    }
    return true;
}

/* head: the item before the first comma, still with its "word:". */
static bool short_parse_head(const char *form, const char *head, char **type, GHashTable *options,
                             GError **error)
{
    const char *colon = strchr(head, ':'), *argument = colon ? colon + 1 : NULL;
    size_t length = colon ? (size_t)(colon - head) : strlen(head);

    if (!strcmp(head, "none")) {
        return true;
    }
    if (g_str_has_prefix(head, "chardev:")) {
        short_set(options, "chardev", g_strdup(argument));
        return true;
    }
    if (g_str_has_prefix(head, "/dev/")) {
        *type = g_strdup("serial");
        short_set(options, "path", g_strdup(head));
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(short_forms); i++) {
        if (strlen(short_forms[i].word) == length && !strncmp(head, short_forms[i].word, length)) {
            return short_parse_known(form, i, argument, type, options, error);
        }
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is no character device; use stdio, mon:stdio, pty, null, none, "
                      "file:PATH, pipe:PATH, tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH or "
                      "chardev:ID",
                      form);
}

bool chardev_parse_short(const char *form, char **type, GHashTable **options, bool *monitor,
                         GError **error)
{
    g_autoptr(KeyValues) rest = NULL;
    g_autofree char *head = NULL;
    const char *text = form;

    *type = NULL;
    *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    *monitor = g_str_has_prefix(text, "mon:");
    if (*monitor) {
        text += strlen("mon:");
        short_set(*options, "mux", g_strdup("on"));
        /* Ctrl-C is for the guest when the console shares the terminal; Ctrl-A x ends the program.
         */
        if (g_str_has_prefix(text, "stdio")) {
            short_set(*options, "signal", g_strdup("off"));
        }
    }
    head = key_values_take_item(&text);
    rest = key_values_parse_list(text, NULL, error);
    if (!rest || !short_parse_head(form, head, type, *options, error)) {
        g_clear_pointer(options, g_hash_table_unref);
        g_clear_pointer(type, g_free);
        return false;
    }
    for (unsigned i = 0; i < rest->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(rest->pairs, KeyValue, i);

        short_set(*options, pair->key, g_strdup(pair->value));
    }
    return true;
}
