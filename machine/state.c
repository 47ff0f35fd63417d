/* SPDX-License-Identifier: MIT */
/*
 * Saving and loading by state tables. A saved structure is a row of records: length of the name (1 byte), name,
 * length of the content (4 bytes), content. Content, by kind: integers, little endian, at their sizes; for each
 * structure a length (4 bytes) and its records; for each timer a deadline (8 bytes, -1: none); a buffer's bytes; a
 * value (8 bytes).
 */
#include "machine/state.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/clock.h"

static uint64_t load_integer(const void *from, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)from;
    case 2:
        return *(const uint16_t *)from;
    case 4:
        return *(const uint32_t *)from;
    default:
        return *(const uint64_t *)from;
    }
}

static void store_integer(void *to, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)to = value;
        break;
    case 2:
        *(uint16_t *)to = value;
        break;
    case 4:
        *(uint32_t *)to = value;
        break;
    default:
        *(uint64_t *)to = value;
    }
}

static void put_integer(GByteArray *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(out, bytes, size);
}

static uint32_t length_of(const StateField *field, const void *instance)
{
    return *(const uint32_t *)(const void *)((const uint8_t *)instance + field->length);
}

void *state_field_data(const StateField *field, const void *instance, size_t *size)
{
    uint8_t *at = (uint8_t *)instance + field->offset;

    *size = field->size;
    if (field->allocated) {
        *size = field->element * length_of(field, instance);
        at = *(uint8_t **)(void *)at;
    }
    return at;
}

static bool is_saved(const StateField *field, const void *instance)
{
    return field->kind != STATE_KIND_DERIVED && (!field->present || field->present(instance));
}

static void save_content(const StateField *field, const void *instance, GByteArray *out)
{
    size_t size;
    const uint8_t *at = state_field_data(field, instance, &size), *end = at + size;

    switch (field->kind) {
    case STATE_KIND_INTEGERS:
        for (; at < end; at += field->element) {
            put_integer(out, load_integer(at, field->element), field->element);
        }
        break;
    case STATE_KIND_STRUCTS:
        for (; at < end; at += field->element) {
            unsigned before = out->len;

            put_integer(out, 0, 4);
            state_save(field->fields, at, out);
            store_le32(out->data + before, out->len - before - 4);
        }
        break;
    case STATE_KIND_TIMERS:
        for (; at < end; at += field->element) {
            put_integer(out, (uint64_t)((const Timer *)(const void *)at)->deadline_ns, 8);
        }
        break;
    case STATE_KIND_BUFFER:
        g_byte_array_append(out, *(uint8_t *const *)(const void *)at, length_of(field, instance));
        break;
    case STATE_KIND_VALUE:
        put_integer(out, field->get(instance), 8);
        break;
    case STATE_KIND_DERIVED:
        break;
    }
}

void state_save(const StateField *fields, const void *instance, GByteArray *out)
{
    for (const StateField *field = fields; field && field->name; field++) {
        size_t name_length = strlen(field->name);
        unsigned length_at;

        if (!is_saved(field, instance)) {
            continue;
        }
        put_integer(out, name_length, 1);
        g_byte_array_append(out, (const uint8_t *)field->name, name_length);
        length_at = out->len;
        put_integer(out, 0, 4);
        save_content(field, instance, out);
        store_le32(out->data + length_at, out->len - length_at - 4);
    }
}

typedef struct {
    const char *who; /* is being loaded, for messages */
    unsigned version;
    bool only_check; /* nothing is stored */
} Loading;

static bool load_structure(const Loading *loading, const StateField *fields, void *instance,
                           const uint8_t *data, size_t size, GError **error);

static bool wrong(const Loading *loading, const StateField *field, const char *what, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID, "the saved state of %s does not fit: '%s' %s",
                      loading->who, field->name, what);
}

/*
 * Times, which the tree names after their unit, can be added to and taken from others without an overflow. What was saved by us
 * is so, but for deadlines that never come, and there 73 years are as good.
 */
static uint64_t bound_time(const StateField *field, uint64_t value)
{
    const int64_t farthest_ns = INT64_MAX / 4;

    if (field->element != sizeof(int64_t) || !g_str_has_suffix(field->name, "_ns")) {
        return value;
    }
    return (uint64_t)CLAMP((int64_t)value, -farthest_ns, farthest_ns);
}

static bool load_integers(const Loading *loading, const StateField *field, uint8_t *at,
                          const uint8_t *data, size_t size, GError **error)
{
    for (size_t done = 0; done < size; done += field->element) {
        uint8_t bytes[8] = { 0 };
        uint64_t value;

        memcpy(bytes, data + done, field->element);
        value = load_le64(bytes);
        if (field->most && value > field->most) {
            return wrong(loading, field, "has a value that cannot be", error);
        }
        if (!loading->only_check) {
            store_integer(at + done, field->element, bound_time(field, value));
        }
    }
    return true;
}

static bool load_structures(const Loading *loading, const StateField *field, uint8_t *at,
                            uint8_t *end, const uint8_t *data, size_t size, GError **error)
{
    for (; at < end; at += field->element) {
        uint32_t length;

        if (size < 4 || (length = load_le32(data)) > size - 4) {
            return wrong(loading, field, "has another size", error);
        }
        if (!load_structure(loading, field->fields, at, data + 4, length, error)) {
            return false;
        }
        data += 4 + length;
        size -= 4 + length;
    }
    return size == 0 || wrong(loading, field, "has another size", error);
}

static void load_timers(const StateField *field, uint8_t *at, const uint8_t *data)
{
    for (uint8_t *end = at + field->size; at < end; at += field->element, data += 8) {
        Timer *timer = (Timer *)(void *)at;
        int64_t deadline_ns = (int64_t)load_le64(data);

        if (deadline_ns < 0) {
            timer_cancel(timer);
        } else {
            timer_arm(timer, deadline_ns);
        }
    }
}

static bool load_buffer(const Loading *loading, const StateField *field, void *instance,
                        const uint8_t *data, size_t size, GError **error)
{
    uint8_t **buffer = (uint8_t **)(void *)((uint8_t *)instance + field->offset);

    if (size > field->most) {
        return wrong(loading, field, "is too long", error);
    }
    if (!loading->only_check) {
        g_free(*buffer);
        *buffer = g_memdup2(data, size);
        *(uint32_t *)(void *)((uint8_t *)instance + field->length) = size;
    }
    return true;
}

static bool load_content(const Loading *loading, const StateField *field, void *instance,
                         const uint8_t *data, size_t size, GError **error)
{
    size_t own_size, expected;
    uint8_t *at = state_field_data(field, instance, &own_size);

    expected = field->kind == STATE_KIND_INTEGERS ? own_size
               : field->kind == STATE_KIND_TIMERS ? own_size / field->element * 8
                                                  : 8;
    if (size != expected && field->kind != STATE_KIND_STRUCTS && field->kind != STATE_KIND_BUFFER) {
        return wrong(loading, field, "has another size", error);
    }
    switch (field->kind) {
    case STATE_KIND_INTEGERS:
        return load_integers(loading, field, at, data, size, error);
    case STATE_KIND_STRUCTS:
        return load_structures(loading, field, at, at + own_size, data, size, error);
    case STATE_KIND_TIMERS:
        if (!loading->only_check) {
            load_timers(field, at, data);
        }
        return true;
    case STATE_KIND_BUFFER:
        return load_buffer(loading, field, instance, data, size, error);
    default:
        if (field->most && load_le64(data) > field->most) {
            return wrong(loading, field, "has a value that cannot be", error);
        }
        if (!loading->only_check) {
            field->set(instance, load_le64(data));
        }
        return true;
    }
}

static const StateField *find_field(const StateField *fields, const void *instance,
                                    const char *name, size_t length)
{
    for (const StateField *field = fields; field && field->name; field++) {
        if (strlen(field->name) == length && memcmp(field->name, name, length) == 0 &&
            is_saved(field, instance)) {
            return field;
        }
    }
    return NULL;
}

/* One record; what is left of the data is moved on. */
static const StateField *load_record(const Loading *loading, const StateField *fields,
                                     void *instance, const uint8_t **data, size_t *size,
                                     GError **error)
{
    const uint8_t *at = *data;
    size_t name_length = at[0], content;
    const StateField *field;

    if (*size < 1 + name_length + 4 ||
        (content = load_le32(at + 1 + name_length)) > *size - 5 - name_length) {
        error_fail(error, KASO_ERROR_INVALID, "the saved state of %s is cut short", loading->who);
        return NULL;
    }
    field = find_field(fields, instance, (const char *)at + 1, name_length);
    if (!field) {
        error_fail(error, KASO_ERROR_INVALID,
                   "the saved state of %s has '%.*s', which is not known here: it may come from a "
                   "newer version",
                   loading->who, (int)name_length, (const char *)at + 1);
        return NULL;
    }
    *data += 5 + name_length + content;
    *size -= 5 + name_length + content;
    return load_content(loading, field, instance, at + 5 + name_length, content, error) ? field
                                                                                        : NULL;
}

static bool load_structure(const Loading *loading, const StateField *fields, void *instance,
                           const uint8_t *data, size_t size, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    while (size) {
        const StateField *field = load_record(loading, fields, instance, &data, &size, error);

        if (!field) {
            return false;
        }
        g_hash_table_add(seen, (void *)field);
    }
    for (const StateField *field = fields; field && field->name; field++) {
        if (is_saved(field, instance) && field->since <= loading->version &&
            !g_hash_table_contains(seen, field)) {
            return wrong(loading, field, "is missing", error);
        }
    }
    return true;
}

bool state_load(const StateField *fields, void *instance, const char *who, unsigned version,
                const uint8_t *data, size_t size, GError **error)
{
    const Loading loading = { who, version, false };

    return load_structure(&loading, fields, instance, data, size, error);
}

bool state_fits(const StateField *fields, const void *instance, const char *who, unsigned version,
                const uint8_t *data, size_t size, GError **error)
{
    const Loading loading = { who, version, true };

    return load_structure(&loading, fields, (void *)instance, data, size, error);
}
