/* SPDX-License-Identifier: MIT */
/* The process-wide log: items, sink, address filter, trace globs and rate limit. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"

/* clang-format off */
const LogItem log_items[] = {
    { LOG_IN_ASM, "in_asm", "guest instructions of each translated block" },
    { LOG_IR, "ir", "intermediate code before optimisation" },
    { LOG_IR_OPT, "ir_opt", "intermediate code after optimisation" },
    { LOG_OUT_ASM, "out_asm", "generated host instructions" },
    { LOG_INT, "int", "interrupts and exceptions" },
    { LOG_EXEC, "exec", "each entry to a translated block" },
    { LOG_MMU, "mmu", "address translation, faults and TLB maintenance" },
    { LOG_GUEST_ERRORS, "guest_errors", "guests doing what their manual forbids" },
    { LOG_UNIMP, "unimp", "guests using what is not modelled" },
    { LOG_CPU_RESET, "cpu_reset", "processor state at each reset" },
    { LOG_TRACE, "trace", "named trace points; -trace chooses which" },
    { 0 },
};
/* clang-format on */

uint32_t log_mask;

typedef struct {
    uint64_t first, last;
} AddressRange;

enum { RATE_SLOTS = 64, RATE_LINES_PER_SECOND = 200 };

typedef struct {
    char *text;
    GPatternSpec *pattern;
} TraceGlob;

typedef struct {
    LogObserver *fn;
    void *opaque;
} Observer;

typedef struct {
    const char *format; /* identifies the call site */
    int64_t second;
    unsigned lines;
} RateSlot;

static struct {
    GRecMutex lock;
    FILE *file;             /* NULL: stderr */
    GArray *ranges;         /* AddressRange; NULL: no filter */
    GPtrArray *trace_globs; /* TraceGlob; NULL: all names when LOG_TRACE is on */
    FILE *trace_file;       /* NULL: traces go to the log */
    LogClock trace_clock;
    bool trace_any; /* trace_file has an entry */
    RateSlot rate[RATE_SLOTS];
    GArray *observers; /* Observer; NULL: none ever */
} sink;

static const NotYet items_not_yet[] = {
    { "op op_ind", "use ir" },
    { "op_opt op_plugin", "use ir_opt" },
    { "cpu fpu vpu", "use int, or the monitor's info registers" },
    { "nochain page pcall plugin strace tid invalid_mem" },
    { 0 },
};

static uint32_t find_item(const char *name, GError **error)
{
    const NameKind kind = { "log item", "-d help", items_not_yet };
    const char *names[ARRAY_SIZE(log_items) + 1];
    size_t n = 0;

    for (const LogItem *item = log_items; item->name; item++) {
        if (strcmp(item->name, name) == 0) {
            return item->mask;
        }
        names[n++] = item->name;
    }
    names[n++] = "all";
    names[n] = NULL;
    names_fail(&kind, name, names, error);
    return 0;
}

bool log_set_items(const char *items, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(items, ",", -1);
    uint32_t mask = 0;

    for (char **part = parts; *part; part++) {
        bool off = (*part)[0] == '-';
        uint32_t bits;

        if ((*part)[0] == '\0' || strcmp(*part, "none") == 0) {
            continue;
        }
        if (strcmp(*part, "all") == 0) {
            bits = UINT32_MAX & ~LOG_TRACE;
        } else if (g_str_has_prefix(*part, "trace:")) {
            if (!log_set_trace(*part + strlen("trace:"), error)) {
                return false;
            }
            bits = LOG_TRACE;
        } else {
            bits = find_item(*part + off, error);
            if (!bits) {
                return false;
            }
        }
        mask = off ? mask & ~bits : mask | bits;
    }
    log_mask = mask;
    return true;
}

bool log_set_file(const char *path, GError **error)
{
    FILE *file = NULL;

    if (path) {
        const char *percent = strstr(path, "%d");
        g_autofree char *name = NULL;

        if (percent) {
            name = g_strdup_printf("%.*s%d%s", (int)(percent - path), path, (int)getpid(),
                                   percent + 2);
        } else {
            name = g_strdup(path);
        }
        file = fopen(name, "we");
        if (!file) {
            return error_fail_errno(error, errno, "cannot open the log file '%s'", name);
        }
        setvbuf(file, NULL, _IOFBF, 1 << 16);
    }
    g_rec_mutex_lock(&sink.lock);
    if (sink.file) {
        fclose(sink.file);
    }
    sink.file = file;
    g_rec_mutex_unlock(&sink.lock);
    return true;
}

static bool parse_range(const char *text, AddressRange *range)
{
    char *end;
    const char *sign;
    uint64_t a, b;

    errno = 0;
    a = strtoull(text, &end, 0);
    if (end == text || errno) {
        return false;
    }
    sign = end;
    if (g_str_has_prefix(sign, "..")) {
        end += 2;
    } else if (*sign == '+' || *sign == '-') {
        end += 1;
    } else {
        return false;
    }
    text = end;
    b = strtoull(text, &end, 0);
    if (end == text || *end || errno) {
        return false;
    }
    switch (*sign) {
    case '.':
        *range = (AddressRange){ a, b };
        break;
    case '+':
        *range = (AddressRange){ a, b ? a + b - 1 : a };
        break;
    default:
        *range = (AddressRange){ a >= b ? a - b : 0, a };
    }
    return range->first <= range->last;
}

bool log_set_address_filter(const char *ranges, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(ranges, ",", -1);
    GArray *array = g_array_new(false, false, sizeof(AddressRange));

    for (char **part = parts; *part; part++) {
        AddressRange range;

        if (!parse_range(*part, &range)) {
            g_array_unref(array);
            return error_fail(
                error, KASO_ERROR_INVALID,
                "'%s' is no address range: write START..END, START+SIZE or START-SIZE", *part);
        }
        g_array_append_val(array, range);
    }
    g_rec_mutex_lock(&sink.lock);
    if (sink.ranges) {
        g_array_unref(sink.ranges);
    }
    sink.ranges = array;
    g_rec_mutex_unlock(&sink.lock);
    return true;
}

bool log_address_wanted(uint64_t guest_virt)
{
    bool wanted = true;

    g_rec_mutex_lock(&sink.lock);
    if (sink.ranges) {
        wanted = false;
        for (unsigned i = 0; i < sink.ranges->len && !wanted; i++) {
            AddressRange *range = &g_array_index(sink.ranges, AddressRange, i);

            wanted = guest_virt >= range->first && guest_virt <= range->last;
        }
    }
    g_rec_mutex_unlock(&sink.lock);
    return wanted;
}

static void free_glob(void *data)
{
    TraceGlob *glob = data;

    g_free(glob->text);
    g_pattern_spec_free(glob->pattern);
    g_free(glob);
}

/* With the sink's lock. */
static void add_glob(const char *text)
{
    TraceGlob *glob = g_new(TraceGlob, 1);

    *glob = (TraceGlob){ g_strdup(text), g_pattern_spec_new(text) };
    if (!sink.trace_globs) {
        sink.trace_globs = g_ptr_array_new_with_free_func(free_glob);
    }
    g_ptr_array_add(sink.trace_globs, glob);
    log_mask |= LOG_TRACE;
}

bool log_set_trace(const char *globs, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(globs, ",", -1);

    if (globs[0] == '\0') {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-trace needs names, such as 'pl011*' or '*' for all");
    }
    g_rec_mutex_lock(&sink.lock);
    for (char **part = parts; *part; part++) {
        add_glob(*part);
    }
    g_rec_mutex_unlock(&sink.lock);
    return true;
}

bool log_switch_trace(const char *glob, bool on)
{
    bool all = strcmp(glob, "*") == 0, found = false;

    g_rec_mutex_lock(&sink.lock);
    for (unsigned i = sink.trace_globs ? sink.trace_globs->len : 0; i-- > 0;) {
        const TraceGlob *one = g_ptr_array_index(sink.trace_globs, i);

        if (strcmp(one->text, glob) == 0 || (all && !on)) {
            found = true;
            g_ptr_array_remove_index(sink.trace_globs, i);
        }
    }
    if (on) {
        add_glob(glob);
    } else if (all || (sink.trace_globs && sink.trace_globs->len == 0)) {
        found |= all && log_mask & LOG_TRACE;
        log_mask &= ~(uint32_t)LOG_TRACE;
    }
    g_rec_mutex_unlock(&sink.lock);
    return on || found;
}

char **log_traces(void)
{
    GPtrArray *names = g_ptr_array_new();

    g_rec_mutex_lock(&sink.lock);
    if (log_mask & LOG_TRACE && !sink.trace_globs) {
        g_ptr_array_add(names, g_strdup("*"));
    }
    for (unsigned i = 0; sink.trace_globs && i < sink.trace_globs->len; i++) {
        g_ptr_array_add(names,
                        g_strdup(((TraceGlob *)g_ptr_array_index(sink.trace_globs, i))->text));
    }
    g_rec_mutex_unlock(&sink.lock);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, false);
}

bool log_trace_wanted(const char *name)
{
    bool wanted = true;

    g_rec_mutex_lock(&sink.lock);
    if (sink.trace_globs) {
        wanted = false;
        for (unsigned i = 0; i < sink.trace_globs->len && !wanted; i++) {
            wanted = g_pattern_spec_match_string(
                ((TraceGlob *)g_ptr_array_index(sink.trace_globs, i))->pattern, name);
        }
    }
    g_rec_mutex_unlock(&sink.lock);
    return wanted;
}

bool log_set_trace_file(const char *path, const LogClock *clock, GError **error)
{
    FILE *file = path ? fopen(path, "we") : NULL;

    if (path && !file) {
        return error_fail_errno(error, errno, "cannot open the trace file '%s'", path);
    }
    g_rec_mutex_lock(&sink.lock);
    if (sink.trace_file) {
        fputs("\n]\n", sink.trace_file);
        fclose(sink.trace_file);
    }
    sink.trace_file = file;
    sink.trace_any = false;
    if (file) {
        sink.trace_clock = *clock;
        fputs("[\n", file);
    }
    g_rec_mutex_unlock(&sink.lock);
    return true;
}

/* As a JSON string's inside. Bytes that are no ASCII are written as Latin-1. */
static void put_json(FILE *file, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(file, "\\%c", *c);
        } else if (*c < 0x20 || *c > 0x7e) {
            fprintf(file, "\\u%04x", *c);
        } else {
            fputc(*c, file);
        }
    }
}

bool log_trace_to_file(const char *name, const char *text)
{
    FILE *file;
    int64_t ns;

    g_rec_mutex_lock(&sink.lock);
    file = sink.trace_file;
    if (file) {
        ns = sink.trace_clock.now_ns(sink.trace_clock.opaque);
        fprintf(file, "%s{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"name\":\"",
                sink.trace_any ? ",\n" : "", sink.trace_clock.thread(sink.trace_clock.opaque) + 1,
                (double)ns / 1000);
        put_json(file, name);
        fputs("\",\"args\":{\"text\":\"", file);
        put_json(file, text);
        fputs("\"}}", file);
        sink.trace_any = true;
    }
    g_rec_mutex_unlock(&sink.lock);
    return file != NULL;
}

FILE *log_begin(void)
{
    g_rec_mutex_lock(&sink.lock);
    return sink.file ? sink.file : stderr;
}

void log_end(void)
{
    if (sink.file) {
        fflush(sink.file);
    }
    g_rec_mutex_unlock(&sink.lock);
}

void log_add_observer(LogObserver *fn, void *opaque)
{
    g_rec_mutex_lock(&sink.lock);
    if (!sink.observers) {
        sink.observers = g_array_new(false, false, sizeof(Observer));
    }
    g_array_append_val(sink.observers, ((Observer){ fn, opaque }));
    g_rec_mutex_unlock(&sink.lock);
}

void log_remove_observer(LogObserver *fn, void *opaque)
{
    g_rec_mutex_lock(&sink.lock);
    for (unsigned i = sink.observers ? sink.observers->len : 0; i-- > 0;) {
        const Observer *observer = &g_array_index(sink.observers, Observer, i);

        if (observer->fn == fn && observer->opaque == opaque) {
            g_array_remove_index(sink.observers, i);
        }
    }
    g_rec_mutex_unlock(&sink.lock);
}

/* Tells of text that was written. The sink is not held: observers may wait for others who write to it. */
static void tell_observers(const char *text)
{
    g_auto(GStrv) lines = NULL;
    Observer observers[8];
    unsigned count = 0;

    g_rec_mutex_lock(&sink.lock);
    if (sink.observers) {
        count = MIN(sink.observers->len, ARRAY_SIZE(observers));
        if (count) {
            memcpy(observers, sink.observers->data, count * sizeof observers[0]);
        }
    }
    g_rec_mutex_unlock(&sink.lock);
    lines = count ? g_strsplit(text, "\n", -1) : NULL;
    for (char **line = lines; line && *line; line++) {
        for (unsigned i = 0; i < count && **line; i++) {
            observers[i].fn(observers[i].opaque, *line);
        }
    }
}

static void put(const char *text)
{
    fputs(text, log_begin());
    log_end();
    tell_observers(text);
}

void log_printf(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    put(text);
}

/* How a guest that errs in a loop cannot fill the disk: 0 print, 1 print a last line, 2 be silent. */
static int rate_check(const char *format)
{
    RateSlot *slot = &sink.rate[((uintptr_t)format >> 3) % RATE_SLOTS];
    int64_t second = g_get_monotonic_time() / G_USEC_PER_SEC;

    if (slot->format != format || slot->second != second) {
        *slot = (RateSlot){ format, second, 0 };
    }
    slot->lines++;
    return slot->lines <= RATE_LINES_PER_SECOND       ? 0
           : slot->lines == RATE_LINES_PER_SECOND + 1 ? 1
                                                      : 2;
}

void log_message(const char *kind, const char *who, const char *format, ...)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool is_trace = strcmp(kind, "trace") == 0;
    int rate;

    g_rec_mutex_lock(&sink.lock);
    rate = is_trace ? 0 : rate_check(format);
    g_rec_mutex_unlock(&sink.lock);
    if (rate == 0) {
        va_list arguments;

        if (!is_trace) {
            g_string_printf(text, "%s: %s: ", kind, who);
        }
        va_start(arguments, format);
        g_string_append_vprintf(text, format, arguments);
        va_end(arguments);
        if (is_trace && log_trace_to_file(who, text->str)) {
            return;
        }
        if (is_trace) {
            g_string_prepend_c(text, ' ');
            g_string_prepend(text, who);
        }
        g_string_append_c(text, '\n');
    } else if (rate == 1) {
        g_string_printf(text, "%s: %s: (more of this kind within the second is left out)\n", kind,
                        who);
    }
    if (text->len) {
        put(text->str);
    }
}
