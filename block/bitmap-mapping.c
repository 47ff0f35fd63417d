/* SPDX-License-Identifier: MIT */
/* block-bitmap-mapping: under which names nodes and bitmaps go to another process, and what becomes of them there. */
#include "block/bitmap-mapping.h"

#include <string.h>

#include "base/error.h"

enum { NAME_MOST = 255 };

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

json_t *bitmap_mapping_find(const json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *entry;

    json_array_foreach(list, i, entry)
    {
        if (!g_strcmp0(text(entry, key), value)) {
            return entry;
        }
    }
    return NULL;
}

#define FAIL(error, ...)                                                                           \
    error_fail(error, KASO_ERROR_INVALID,                                                          \
               "Invalid mapping given for block-bitmap-mapping: " __VA_ARGS__)

/* Objects with these texts, and with nothing that is not known. */
static bool check_form(const json_t *entry, const char *name, const char *last, GError **error)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)entry, key, value)
    {
        bool is_text = !strcmp(key, name) || !strcmp(key, "alias");

        if (!is_text && strcmp(key, last) != 0) {
            return FAIL(error, "there is no member '%s'", key);
        }
        if (is_text && (!json_is_string(value) || json_string_length(value) > NAME_MOST)) {
            return FAIL(error, "'%s' is a text of up to 255 bytes", key);
        }
    }
    if (!text(entry, name) || !text(entry, "alias")) {
        return FAIL(error, "each entry needs '%s' and 'alias'", name);
    }
    return true;
}

/* Names and aliases each once. */
static bool check_once(const json_t *list, const json_t *entry, const char *key, GError **error)
{
    return bitmap_mapping_find(list, key, text(entry, key)) == entry ||
           FAIL(error, "the %s '%s' is there twice", key, text(entry, key));
}

static bool check_transform(const json_t *bitmap, GError **error)
{
    const json_t *transform = json_object_get(bitmap, "transform");
    const json_t *persistent = json_object_get(transform, "persistent");

    if (!transform || (json_is_object(transform) && json_object_size(transform) == 0)) {
        return true;
    }
    if (!json_is_boolean(persistent) || json_object_size(transform) != 1) {
        return FAIL(error, "'transform' of '%s' can have 'persistent', a boolean",
                    text(bitmap, "name"));
    }
    return true;
}

static bool check_list(const json_t *list, const char *name, const char *last, GError **error)
{
    size_t i;
    json_t *entry;

    if (!json_is_array(list)) {
        return FAIL(error, "a list is wanted of objects with '%s' and 'alias'", name);
    }
    json_array_foreach(list, i, entry)
    {
        if (!json_is_object(entry)) {
            return FAIL(error, "an object with '%s' and 'alias' is wanted", name);
        }
        if (!check_form(entry, name, last, error) || !check_once(list, entry, name, error) ||
            !check_once(list, entry, "alias", error)) {
            return false;
        }
    }
    return true;
}

bool bitmap_mapping_check(const json_t *mapping, GError **error)
{
    size_t i, j;
    json_t *node, *bitmap;

    if (!check_list(mapping, "node-name", "bitmaps", error)) {
        return false;
    }
    json_array_foreach(mapping, i, node)
    {
        const json_t *bitmaps = json_object_get(node, "bitmaps");

        if (!check_list(bitmaps, "name", "transform", error)) {
            return false;
        }
        json_array_foreach(bitmaps, j, bitmap)
        {
            if (!check_transform(bitmap, error)) {
                return false;
            }
        }
    }
    return true;
}

bool bitmap_mapping_persistent(const json_t *bitmap, bool was)
{
    const json_t *chosen = json_object_get(json_object_get(bitmap, "transform"), "persistent");

    return chosen ? json_is_true(chosen) : was;
}
