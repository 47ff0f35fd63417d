/* SPDX-License-Identifier: MIT */
/* screendump, the text screen as text, query-display-options. */
#include "machine/display.h"

#include <string.h>

#include "monitor/command.h"
#include "monitor/image-file.h"

static Display *find_display(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *device =
        monitor_has(arguments, "device") ? monitor_get_string(arguments, "device") : NULL;
    int64_t head = monitor_get_int(arguments, "head", 0);

    if (monitor_has(arguments, "head") && !device) {
        error_fail(error, KASO_ERROR_INVALID, "'head' must be specified together with 'device'");
        return NULL;
    }
    if (head < 0 || head > UINT16_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "there is no head %" PRId64, head);
        return NULL;
    }
    return display_find(monitor_machine(monitor), device, (unsigned)head, error);
}

static json_t *screendump_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "filename");
    Display *display = find_display(monitor, arguments, error);
    bool png = monitor_has(arguments, "format") &&
               strcmp(monitor_get_string(arguments, "format"), "png") == 0;
    pixman_image_t *image;

    if (!display) {
        return NULL;
    }
    image = display_look(display);
    image_file_write(image, png ? IMAGE_FILE_PNG : IMAGE_FILE_PPM, path, error);
    pixman_image_unref(image);
    return NULL;
}

static const char *const formats[] = { "ppm", "png", NULL };

static const MonitorArgument screendump_arguments[] = {
    { "filename", ARGUMENT_STRING, .summary = "file to write" },
    { "format", ARGUMENT_STRING, true, "ppm (the default) or png", 'f', NULL, formats },
    { "device", ARGUMENT_STRING, true, "graphics device; the first display without it", 0,
      monitor_complete_devices },
    { "head", ARGUMENT_INT, true, "which display of the device" },
    { NULL },
};

static const MonitorCommand screendump_command = {
    .name = "screendump",
    .hmp = "screendump",
    .summary = "saves a picture of the screen",
    .arguments = screendump_arguments,
    .run = screendump_run,
};
MONITOR_COMMAND(screendump_command);

/* Code page 437, where it is not ASCII: what a PC's font shows. */
static const gunichar code_page[256] = {
    [0x01] = 0x263a, 0x263b, 0x2665, 0x2666, 0x2663,          0x2660, 0x2022, 0x25d8, 0x25cb,
    0x25d9,          0x2642, 0x2640, 0x266a, 0x266b,          0x263c, 0x25ba, 0x25c4, 0x2195,
    0x203c,          0x00b6, 0x00a7, 0x25ac, 0x21a8,          0x2191, 0x2193, 0x2192, 0x2190,
    0x221f,          0x2194, 0x25b2, 0x25bc, [0x7f] = 0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
    0x00e4,          0x00e0, 0x00e5, 0x00e7, 0x00ea,          0x00eb, 0x00e8, 0x00ef, 0x00ee,
    0x00ec,          0x00c4, 0x00c5, 0x00c9, 0x00e6,          0x00c6, 0x00f4, 0x00f6, 0x00f2,
    0x00fb,          0x00f9, 0x00ff, 0x00d6, 0x00dc,          0x00a2, 0x00a3, 0x00a5, 0x20a7,
    0x0192,          0x00e1, 0x00ed, 0x00f3, 0x00fa,          0x00f1, 0x00d1, 0x00aa, 0x00ba,
    0x00bf,          0x2310, 0x00ac, 0x00bd, 0x00bc,          0x00a1, 0x00ab, 0x00bb, 0x2591,
    0x2592,          0x2593, 0x2502, 0x2524, 0x2561,          0x2562, 0x2556, 0x2555, 0x2563,
    0x2551,          0x2557, 0x255d, 0x255c, 0x255b,          0x2510, 0x2514, 0x2534, 0x252c,
    0x251c,          0x2500, 0x253c, 0x255e, 0x255f,          0x255a, 0x2554, 0x2569, 0x2566,
    0x2560,          0x2550, 0x256c, 0x2567, 0x2568,          0x2564, 0x2565, 0x2559, 0x2558,
    0x2552,          0x2553, 0x256b, 0x256a, 0x2518,          0x250c, 0x2588, 0x2584, 0x258c,
    0x2590,          0x2580, 0x03b1, 0x00df, 0x0393,          0x03c0, 0x03a3, 0x03c3, 0x00b5,
    0x03c4,          0x03a6, 0x0398, 0x03a9, 0x03b4,          0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261,          0x00b1, 0x2265, 0x2264, 0x2320,          0x2321, 0x00f7, 0x2248, 0x00b0,
    0x2219,          0x00b7, 0x221a, 0x207f, 0x00b2,          0x25a0, 0x00a0,
};

static void append_row(GString *out, const DisplayCell *cells, unsigned columns)
{
    gsize end = out->len;

    for (unsigned i = 0; i < columns; i++) {
        uint8_t c = cells[i].character;

        g_string_append_unichar(out, code_page[c] ? code_page[c] : c ? c : ' ');
        if (c && c != ' ' && c != 0xff) {
            end = out->len;
        }
    }
    g_string_truncate(out, end);
}

static json_t *text_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Display *display = find_display(monitor, arguments, error);
    DisplayText text;
    json_t *result, *lines;

    if (!display) {
        return NULL;
    }
    if (!display_read_text(display, &text)) {
        error_fail(error, KASO_ERROR_NOT_ACTIVE,
                   "the screen shows graphics, no text; screendump saves it");
        return NULL;
    }
    result = json_object();
    lines = json_array();
    for (unsigned row = 0; row < text.rows; row++) {
        g_autoptr(GString) line = g_string_new(NULL);

        append_row(line, text.cells + row * text.columns, text.columns);
        json_array_append_new(lines, monitor_string(line->str));
    }
    monitor_put(result, "columns", json_integer(text.columns));
    monitor_put(result, "rows", json_integer(text.rows));
    monitor_put(result, "lines", lines);
    monitor_put(result, "cursor-visible", json_boolean(text.cursor_shown));
    monitor_put(result, "cursor-column", json_integer(text.cursor_column));
    monitor_put(result, "cursor-row", json_integer(text.cursor_row));
    g_free(text.cells);
    return result;
}

/* Empty lines at the end are left out. */
static void text_print(Monitor *monitor, json_t *result, GString *out)
{
    gsize end = out->len;
    size_t i;
    json_t *line;

    json_array_foreach(json_object_get(result, "lines"), i, line)
    {
        g_string_append_printf(out, "%s\n", json_string_value(line));
        if (json_string_length(line)) {
            end = out->len;
        }
    }
    g_string_truncate(out, end);
}

static const MonitorArgument text_arguments[] = {
    { "device", ARGUMENT_STRING, true, "graphics device; the first display without it", 0,
      monitor_complete_devices },
    { "head", ARGUMENT_INT, true, "which display of the device" },
    { NULL },
};

static const MonitorCommand text_command = {
    .name = "x-query-text",
    .hmp = "info text",
    .summary = "shows the text screen as text",
    .arguments = text_arguments,
    .run = text_run,
    .print = text_print,
    .returns = "any",
};
MONITOR_COMMAND(text_command);

static json_t *display_options_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *type = machine_get_data(monitor_machine(monitor), "display-type");
    json_t *options = json_object();

    monitor_put(options, "type", json_string(type ? type : "none"));
    return options;
}

static const MonitorCommand display_options_command = {
    .name = "query-display-options",
    .summary = "tells how the display is shown on the host",
    .run = display_options_run,
    .returns = "DisplayOptions",
};
MONITOR_COMMAND(display_options_command);

static json_t *displays_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *displays = machine_displays(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < displays->len; i++) {
        Display *display = displays->pdata[i];
        pixman_image_t *surface = display_surface(display);
        g_autofree char *label = display_label(display);
        json_t *entry = json_object();

        monitor_put(entry, "number", json_integer(i + 1));
        monitor_put(entry, "name", json_string(label));
        if (display_device(display)) {
            monitor_put(entry, "device", json_string(display_device(display)->id));
            monitor_put(entry, "head", json_integer(display_head(display)));
        }
        monitor_put(entry, "width", json_integer(pixman_image_get_width(surface)));
        monitor_put(entry, "height", json_integer(pixman_image_get_height(surface)));
        monitor_put(entry, "on", json_boolean(display_is_on(display)));
        monitor_put(entry, "watched", json_boolean(display_is_watched(display)));
        json_array_append_new(list, entry);
    }
    return list;
}

static void displays_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *entry;
    size_t i;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(
            out, "%d: %s (%s), %dx%d%s%s\n", (int)monitor_get_int(entry, "number", 0),
            monitor_get_string(entry, "name"), monitor_has(entry, "device") ? "graphics" : "text",
            (int)monitor_get_int(entry, "width", 0), (int)monitor_get_int(entry, "height", 0),
            monitor_get_bool(entry, "on") ? "" : ", off",
            monitor_get_bool(entry, "watched") ? ", watched" : "");
    }
    if (!json_array_size(result)) {
        g_string_append(out, "no displays\n");
    }
}

static const MonitorCommand displays_command = {
    .name = "x-query-displays",
    .hmp = "info display",
    .summary = "lists what viewers can switch to: heads of graphics devices, and text consoles",
    .run = displays_run,
    .print = displays_print,
};
MONITOR_COMMAND(displays_command);
