/* SPDX-License-Identifier: MIT */
/* A diagnosis as one paragraph for people. */
#include <inttypes.h>

#include "base/names.h"
#include "debug/diagnosis.h"

enum { OUTPUT_SHOWN = 100, CPUS_SHOWN = 4 };

const char *cpu_activity_name(CpuActivity activity)
{
    static const char *const names[] = { "off",  "waits",           "loops",
                                         "runs", "exception-storm", "stopped" };

    return names[activity];
}

static const char *verb(CpuActivity activity)
{
    static const char *const verbs[] = {
        "is off",       "waits for an interrupt in",          "goes round in",
        "runs, now in", "takes exception after exception at", "is stopped in"
    };

    return verbs[activity];
}

static void append_cpu(GString *text, const CpuDiagnosis *cpu)
{
    g_string_append_printf(text, "%sCPU %u %s", text->len ? " " : "", cpu->index,
                           verb(cpu->activity));
    if (cpu->activity != CPU_OFF) {
        g_string_append_printf(text, " %s (%s%s%s)", cpu->where, cpu->mode,
                               cpu->task ? ", task " : "", cpu->task ? cpu->task : "");
    }
    g_string_append_printf(text, "%s%s.", cpu->detail ? ": " : "", cpu->detail ? cpu->detail : "");
}

static void append_cpus(GString *text, const GPtrArray *cpus)
{
    unsigned off = 0, shown = 0, more = 0;

    for (guint i = 0; i < cpus->len; i++) {
        const CpuDiagnosis *cpu = cpus->pdata[i];

        if (cpu->activity == CPU_OFF) {
            off++;
        } else if (shown < CPUS_SHOWN) {
            append_cpu(text, cpu);
            shown++;
        } else {
            more++;
        }
    }
    if (off) {
        g_string_append_printf(text, " %u CPU%s %s off.", off, plural(off),
                               off == 1 ? "is" : "are");
    }
    if (more) {
        g_string_append_printf(text, " %u more CPU%s: explain.", more, plural(more));
    }
}

/* nothing: stands before the addresses of places where nothing is. */
static void append_places(GString *text, const GPtrArray *places, const char *what,
                          const char *nothing)
{
    for (guint i = 0; i < places->len; i++) {
        const TouchedPlace *place = places->pdata[i];

        g_string_append_printf(text, "%s%s", i ? ", " : what, place->missing ? "" : place->name);
        if (place->missing) {
            g_string_append_printf(text, "%s%#" PRIx64, nothing, place->address);
        }
        g_string_append_printf(text, " (%s, %u×)", place->write ? "written" : "read", place->count);
    }
    g_string_append(text, places->len ? "." : "");
}

char *diagnosis_text(const Diagnosis *diagnosis)
{
    GString *text = g_string_new(NULL);

    append_cpus(text, diagnosis->cpus);
    append_places(text, diagnosis->polled, " While it was watched it used ", "nothing at ");
    append_places(text, diagnosis->missing, " It touched addresses where nothing is: ", "");
    if (diagnosis->resets) {
        g_string_append_printf(text, " It has reset itself %u time%s, the last by %s.",
                               diagnosis->resets, plural(diagnosis->resets),
                               diagnosis->reset_reason);
    }
    if (diagnosis->kernel) {
        g_string_append_printf(text, " Its kernel is %s", diagnosis->kernel);
        g_string_append_printf(text,
                               diagnosis->kernel_log ? ", whose log ends with \"%.*s\"." : ".",
                               OUTPUT_SHOWN, diagnosis->kernel_log);
    }
    if (diagnosis->last_output) {
        g_string_append_printf(text, " Its last output was \"%.*s\".", OUTPUT_SHOWN,
                               diagnosis->last_output);
    } else {
        g_string_append(text, " It has written nothing to a console.");
    }
    for (guint i = 0; i < diagnosis->hints->len; i++) {
        g_string_append_printf(text, " %s.", (const char *)diagnosis->hints->pdata[i]);
    }
    g_string_append_printf(text, " More: %sbt -a, dis, info registers.",
                           diagnosis->kernel ? "info dmesg, info tasks, " : "");
    return g_string_free(text, FALSE);
}
