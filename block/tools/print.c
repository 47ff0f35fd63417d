/* SPDX-License-Identifier: MIT */
/* How tools, and a machine's qemu-io, print sizes and objects. */
#include "base/bits.h"
#include "block/tools/tool.h"

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
