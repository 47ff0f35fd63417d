/* SPDX-License-Identifier: MIT */
/* Rules and watches over what guests write to their consoles; see the header. */
#include "machine/console.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "machine/debug.h"
#include "machine/private.h"

/* Longer lines are cut: what a rule looks for comes within the first that many bytes. */
enum { LINE_MAX_BYTES = 4096, PAUSE_MS = 300 };

typedef enum { TEXT_PLAIN, TEXT_ESCAPE, TEXT_CSI, TEXT_OSC } TextState;

/* The line that a console is writing, without colours and other escape sequences. */
typedef struct {
    Chardev *chardev;
    GString *line;
    TextState state;
    uint64_t number;  /* of the line; the first is 1 */
    uint64_t matched; /* bit per rule that has had its match in this line */
} ConsoleLine;

struct ConsoleWatch {
    Machine *machine;
    GPtrArray *lines; /* ConsoleLine * */
    guint check;      /* source that looks at lines that have no end yet */
    int64_t last_us;  /* when something was written last */
    void (*silent)(Machine *machine, void *opaque);
    void *silent_opaque;
    Timer timer; /* of silent */
};

ConsoleMatch *console_match_new(const char *pattern, GError **error)
{
    g_autoptr(GError) why = NULL;
    GRegex *expression = g_regex_new(pattern, G_REGEX_OPTIMIZE | G_REGEX_RAW, 0, &why);
    ConsoleMatch *match;

    if (!expression) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no regular expression: %s", pattern,
                   why->message);
        return NULL;
    }
    match = g_new0(ConsoleMatch, 1);
    match->pattern = g_strdup(pattern);
    match->expression = expression;
    return match;
}

void console_match_free(ConsoleMatch *match)
{
    g_regex_unref(match->expression);
    g_free(match->pattern);
    g_free(match->chardev);
    g_free(match);
}

static void free_line(void *data)
{
    ConsoleLine *line = data;

    g_string_free(line->line, true);
    g_free(line);
}

static ConsoleWatch *get_watch(Machine *machine)
{
    MachinePrivate *private = machine->private;

    if (!private->console_watch) {
        private->console_watch = g_new0(ConsoleWatch, 1);
        private->console_watch->machine = machine;
        private->console_watch->lines = g_ptr_array_new_with_free_func(free_line);
    }
    return private->console_watch;
}

void console_destroy(Machine *machine)
{
    ConsoleWatch *watch = g_steal_pointer(&machine->private->console_watch);

    if (watch) {
        g_clear_handle_id(&watch->check, g_source_remove);
        if (watch->silent) {
            timer_cancel(&watch->timer);
        }
        g_ptr_array_unref(watch->lines);
        g_free(watch);
    }
    g_clear_pointer(&machine->private->console_last, g_free);
}

static ConsoleLine *line_of(ConsoleWatch *watch, Chardev *chardev)
{
    ConsoleLine *line;

    for (unsigned i = 0; i < watch->lines->len; i++) {
        line = watch->lines->pdata[i];
        if (line->chardev == chardev) {
            return line;
        }
    }
    line = g_new0(ConsoleLine, 1);
    line->chardev = chardev;
    line->line = g_string_new(NULL);
    line->number = 1;
    g_ptr_array_add(watch->lines, line);
    return line;
}

static void act(Machine *machine, const ConsoleMatch *match, const char *text)
{
    g_autofree char *detail = g_strdup_printf("'%s' in '%s'", match->pattern, text);

    switch (match->action) {
    case CONSOLE_MATCH_EXIT:
        machine_request_end(machine, STOP_CONSOLE_MATCH, detail, match->exit_status);
        break;
    case CONSOLE_MATCH_STOP:
        machine_request_stop(machine, STOP_PAUSED, NULL);
        break;
    case CONSOLE_MATCH_LOG:
        log_printf("console-match %s\n", detail);
        break;
    case CONSOLE_MATCH_RESET:
        machine_request_reset(machine, "host-qmp-system-reset");
        break;
    case CONSOLE_MATCH_POWERDOWN:
        machine_request_powerdown(machine);
        break;
    }
}

static void check_line(Machine *machine, ConsoleLine *line)
{
    GPtrArray *matches = machine->config.console_matches;

    for (unsigned i = 0; matches && i < matches->len; i++) {
        const ConsoleMatch *match = matches->pdata[i];
        uint64_t bit = UINT64_C(1) << MIN(i, 63);

        if (!(line->matched & bit) &&
            (!match->chardev || strcmp(match->chardev, line->chardev->id) == 0) &&
            g_regex_match_full(match->expression, line->line->str, line->line->len, 0, 0, NULL,
                               NULL)) {
            line->matched |= bit;
            act(machine, match, line->line->str);
        }
    }
}

/* Prompts have no line end: what stands there when the guest pauses for a moment counts, too. */
static gboolean check_open_lines(gpointer opaque)
{
    ConsoleWatch *watch = opaque;
    Machine *machine = watch->machine;

    if (g_get_monotonic_time() < watch->last_us + PAUSE_MS * 1000) {
        return G_SOURCE_CONTINUE;
    }
    machine_lock(machine);
    watch->check = 0;
    for (unsigned i = 0; i < watch->lines->len; i++) {
        check_line(machine, watch->lines->pdata[i]);
    }
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

static void tell_debugger(Machine *machine, const ConsoleLine *line)
{
    if (debug_wants(machine, DEBUG_CONSOLE)) {
        debug_report(machine, vcpu_current(),
                     &(DebugEvent){ .kind = DEBUG_CONSOLE,
                                    .write = true,
                                    .who = g_intern_string(line->chardev->id),
                                    .number = line->number,
                                    .text = line->line->str });
    }
}

static void end_line(Machine *machine, ConsoleLine *line)
{
    tell_debugger(machine, line);
    check_line(machine, line);
    if (machine->private->console_keep && line->line->len) {
        g_free(machine->private->console_last);
        machine->private->console_last = g_strdup(line->line->str);
    }
    g_string_truncate(line->line, 0);
    line->matched = 0;
    line->number++;
}

/* ECMA-48: ESC [ parameters final, ESC ] text BEL, and ESC with one character. */
static void add_byte(Machine *machine, ConsoleLine *line, uint8_t byte)
{
    switch (line->state) {
    case TEXT_ESCAPE:
        line->state = byte == '[' ? TEXT_CSI : byte == ']' ? TEXT_OSC : TEXT_PLAIN;
        return;
    case TEXT_CSI:
        line->state = byte >= 0x40 && byte <= 0x7e ? TEXT_PLAIN : TEXT_CSI;
        return;
    case TEXT_OSC:
        line->state = byte == '\a' || byte == '\n' ? TEXT_PLAIN
                      : byte == 0x1b               ? TEXT_ESCAPE
                                                   : TEXT_OSC;
        return;
    case TEXT_PLAIN:
        break;
    }
    if (byte == '\n') {
        end_line(machine, line);
    } else if (byte == 0x1b) {
        line->state = TEXT_ESCAPE;
    } else if (byte != '\r' && byte != '\0' && line->line->len < LINE_MAX_BYTES) {
        g_string_append_c(line->line, byte);
    }
}

static void look_for_matches(Machine *machine, Chardev *chardev, const uint8_t *data, size_t size)
{
    ConsoleWatch *watch = get_watch(machine);
    ConsoleLine *line = line_of(watch, chardev);

    for (size_t i = 0; i < size; i++) {
        add_byte(machine, line, data[i]);
    }
    if (line->line->len) {
        tell_debugger(machine, line);
    }
    watch->last_us = g_get_monotonic_time();
    if (line->line->len && !watch->check) {
        watch->check = g_timeout_add(PAUSE_MS, check_open_lines, watch);
    }
}

size_t console_write(Chardev *chardev, const void *data, size_t size)
{
    Machine *machine = chardev ? chardev->machine : NULL;
    size_t taken = chardev_write(chardev, data, size);

    if (machine && taken) {
        machine->private->console_written = true;
        if (machine->config.console_matches || machine->private->console_keep ||
            debug_wants(machine, DEBUG_CONSOLE)) {
            look_for_matches(machine, chardev, data, taken);
        }
    }
    return taken;
}

static void silence_is_over(void *opaque)
{
    ConsoleWatch *watch = opaque;

    if (!watch->machine->private->console_written) {
        watch->silent(watch->machine, watch->silent_opaque);
    }
}

void console_watch_silence(Machine *machine, unsigned seconds,
                           void (*fn)(Machine *machine, void *opaque), void *opaque)
{
    ConsoleWatch *watch = get_watch(machine);

    watch->silent = fn;
    watch->silent_opaque = opaque;
    timer_init(&watch->timer, machine, silence_is_over, watch);
    timer_arm(&watch->timer, clock_now_ns(machine) + seconds * INT64_C(1000000000));
}

void console_keep_last(Machine *machine)
{
    machine->private->console_keep = true;
}

const char *console_last_line(Machine *machine)
{
    const ConsoleWatch *watch = machine->private->console_watch;

    for (unsigned i = 0; watch && i < watch->lines->len; i++) {
        const ConsoleLine *line = watch->lines->pdata[i];

        if (line->line->len) {
            return line->line->str;
        }
    }
    return machine->private->console_last;
}

bool console_was_written(const Machine *machine)
{
    return machine->private->console_written;
}
