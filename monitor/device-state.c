/* SPDX-License-Identifier: MIT */
/* A device's state as names and numbers; see the header. */
#include "monitor/device-state.h"

#include <string.h>

#include "monitor/command.h"

enum { ELEMENTS_SHOWN = 16, NUMBERS_SHOWN = 1024, NESTING_MAX = 4 };

static void add_number(json_t *list, const char *name, uint64_t value, size_t width)
{
    json_t *object = json_object();

    monitor_put(object, "name", monitor_string(name));
    monitor_put(object, "width", json_integer((json_int_t)width));
    monitor_put(object, "value", json_integer((json_int_t)value));
    json_array_append_new(list, object);
}

/* The elements of a field, and how many there are. */
static const char *elements_of(const char *instance, const StateField *field, size_t *count)
{
    const char *at = instance + field->offset;
    uint32_t allocated;

    *count = field->element ? field->size / field->element : 0;
    if (field->allocated) {
        memcpy(&allocated, instance + field->length, sizeof allocated);
        memcpy(&at, instance + field->offset, sizeof at);
        *count = at ? allocated : 0;
    }
    return at;
}

static char *element_name(const char *prefix, const StateField *field, size_t index, size_t count)
{
    return count > 1 ? g_strdup_printf("%s%s[%zu]", prefix, field->name, index)
                     : g_strconcat(prefix, field->name, NULL);
}

static void add_fields(json_t *list, const char *prefix, const char *instance,
                       const StateField *fields, unsigned depth);

static void add_element(json_t *list, const char *name, const char *at, const StateField *field,
                        unsigned depth)
{
    g_autofree char *prefix = NULL;
    uint64_t value = 0;

    if (field->kind == STATE_KIND_STRUCTS) {
        prefix = g_strconcat(name, ".", NULL);
        add_fields(list, prefix, at, field->fields, depth + 1);
    } else {
        memcpy(&value, at, MIN(field->element, sizeof value));
        add_number(list, name, value, field->element);
    }
}

static void add_field(json_t *list, const char *prefix, const char *instance,
                      const StateField *field, unsigned depth)
{
    size_t count;
    const char *at = elements_of(instance, field, &count);

    if (field->kind == STATE_KIND_VALUE) {
        g_autofree char *name = element_name(prefix, field, 0, 1);

        if (field->get) {
            add_number(list, name, field->get(instance), sizeof(uint64_t));
        }
        return;
    }
    if (field->kind != STATE_KIND_INTEGERS && field->kind != STATE_KIND_STRUCTS) {
        return; /* timers, buffers, what is made from the rest */
    }
    for (size_t i = 0; i < MIN(count, ELEMENTS_SHOWN); i++) {
        g_autofree char *name = element_name(prefix, field, i, count);

        add_element(list, name, at + i * field->element, field, depth);
    }
}

static void add_fields(json_t *list, const char *prefix, const char *instance,
                       const StateField *fields, unsigned depth)
{
    for (const StateField *field = fields; field && field->name; field++) {
        if (depth < NESTING_MAX && json_array_size(list) < NUMBERS_SHOWN &&
            (!field->present || field->present(instance))) {
            add_field(list, prefix, instance, field, depth);
        }
    }
}

json_t *device_state_json(const void *instance, const StateField *fields)
{
    json_t *list = json_array();

    add_fields(list, "", instance, fields, 0);
    return list;
}
