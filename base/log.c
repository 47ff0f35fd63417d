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
    const char *format; /* identifies the call site */
    int64_t second;
    unsigned lines;
} RateSlot;

static struct {
    GRecMutex lock;
    FILE *file;             /* NULL: stderr */
    GArray *ranges;         /* AddressRange; NULL: no filter */
    GPtrArray *trace_globs; /* GPatternSpec; NULL: all names when LOG_TRACE is on */
    RateSlot rate[RATE_SLOTS];
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

bool log_set_trace(const char *globs, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(globs, ",", -1);

    if (globs[0] == '\0') {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-trace needs names, such as 'pl011*' or '*' for all");
    }
    g_rec_mutex_lock(&sink.lock);
    if (!sink.trace_globs) {
        sink.trace_globs = g_ptr_array_new_with_free_func((GDestroyNotify)g_pattern_spec_free);
    }
    for (char **part = parts; *part; part++) {
        g_ptr_array_add(sink.trace_globs, g_pattern_spec_new(*part));
    }
    log_mask |= LOG_TRACE;
    g_rec_mutex_unlock(&sink.lock);
    return true;
}

bool log_trace_wanted(const char *name)
{
    bool wanted = true;

    g_rec_mutex_lock(&sink.lock);
    if (sink.trace_globs) {
        wanted = false;
        for (unsigned i = 0; i < sink.trace_globs->len && !wanted; i++) {
            wanted = g_pattern_spec_match_string(sink.trace_globs->pdata[i], name);
        }
    }
    g_rec_mutex_unlock(&sink.lock);
    return wanted;
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

void log_printf(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(log_begin(), format, arguments);
    log_end();
    va_end(arguments);
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
    FILE *file = log_begin();
    bool is_trace = strcmp(kind, "trace") == 0;
    int rate = is_trace ? 0 : rate_check(format);

    if (rate == 0) {
        va_list arguments;

        if (is_trace) {
            fprintf(file, "%s ", who);
        } else {
            fprintf(file, "%s: %s: ", kind, who);
        }
        va_start(arguments, format);
        vfprintf(file, format, arguments);
        va_end(arguments);
        fputc('\n', file);
    } else if (rate == 1) {
        fprintf(file, "%s: %s: (more of this kind within the second is left out)\n", kind, who);
    }
    log_end();
}
