/* SPDX-License-Identifier: MIT */
/* How tools and monitors print sizes, snapshots and objects. */
#include "base/bits.h"
#include "block/tools/tool.h"
#include "block/vm-snapshot.h"

char *tool_human_size(uint64_t size)
{
    static const char *const suffixes[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)size;
    unsigned i = 0;

    while (value >= 1000 && i + 1 < ARRAY_SIZE(suffixes)) {
        value /= 1024;
        i++;
    }
    return g_strdup_printf("%0.3g %s", value, suffixes[i]);
}

static int64_t snapshot_int(const json_t *snapshot, const char *key)
{
    return json_integer_value(json_object_get(snapshot, key));
}

char *vm_snapshot_row(const json_t *snapshot, const char *id)
{
    static const char *const form = "%-7s %-16s %8s %19s %15s %10s\n";
    int64_t seconds = snapshot_int(snapshot, "vm-clock-sec");
    g_autofree char *size = NULL, *clock = NULL, *icount = NULL, *when = NULL;
    g_autoptr(GDateTime) date = NULL;

    if (!snapshot) {
        return g_strdup_printf(form, "ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT");
    }
    id = id ? id : json_string_value(json_object_get(snapshot, "id"));
    size = tool_human_size((uint64_t)snapshot_int(snapshot, "vm-state-size"));
    date = g_date_time_new_from_unix_local(snapshot_int(snapshot, "date-sec"));
    when = date ? g_date_time_format(date, "%Y-%m-%d %H:%M:%S") : g_strdup("");
    clock = g_strdup_printf("%04u:%02u:%02u.%03u", (unsigned)(seconds / 3600),
                            (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
                            (unsigned)(snapshot_int(snapshot, "vm-clock-nsec") / 1000000));
    icount = json_object_get(snapshot, "icount")
                 ? g_strdup_printf("%" G_GINT64_FORMAT, snapshot_int(snapshot, "icount"))
                 : g_strdup("--");
    return g_strdup_printf(form, id, json_string_value(json_object_get(snapshot, "name")), size,
                           when, clock, icount);
}

static void print_value(FILE *out, const char *name, const json_t *value, int indent);

void tool_print_object_to(FILE *out, const json_t *object, int indent)
{
    const char *key;
    const json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        g_autofree char *name = g_strdelimit(g_strdup(key), "-", ' ');

        print_value(out, name, value, indent);
    }
}

static void print_value(FILE *out, const char *name, const json_t *value, int indent)
{
    fprintf(out, "%*s%s:", indent * 4, "", name);
    if (json_is_object(value)) {
        fprintf(out, "\n");
        tool_print_object_to(out, value, indent + 1);
    } else if (json_is_array(value)) {
        const json_t *item;
        size_t i;

        fprintf(out, "\n");
        json_array_foreach((json_t *)value, i, item)
        {
            g_autofree char *index = g_strdup_printf("[%zu]", i);

            print_value(out, index, item, indent + 1);
        }
    } else if (json_is_string(value)) {
        fprintf(out, " %s\n", json_string_value(value));
    } else if (json_is_integer(value)) {
        fprintf(out, " %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    } else {
        fprintf(out, " %s\n", json_is_true(value) ? "true" : "false");
    }
}
