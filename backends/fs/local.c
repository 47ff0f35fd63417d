/* SPDX-License-Identifier: MIT */
/* A folder of the host, shared with the guest: -fsdev local. */
#include "backends/fs/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* "0644" and its like. */
static bool parse_mode(const Local *local, const char *option, const char *text, uint32_t fallback,
                       uint32_t *mode, GError **error)
{
    char *end;
    unsigned long value = text ? strtoul(text, &end, 8) : fallback;

    if (text && (!*text || *end || value > 0777)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fsdev '%s': %s=%s: give octal digits up to 0777", local->fsdev.id,
                          option, text);
    }
    if (text && !local_mapped(local)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fsdev '%s': %s= is for the mapped security models only; others give "
                          "files the guest's modes",
                          local->fsdev.id, option);
    }
    *mode = (uint32_t)value;
    return true;
}

static bool local_open(Fsdev *fsdev, GError **error)
{
    Local *local = (Local *)fsdev;

    if (!local->path || !*local->path) {
        return error_fail(error, KASO_ERROR_INVALID, "fsdev '%s': path=FOLDER says what is shared",
                          fsdev->id);
    }
    if (local->security == SECURITY_MAPPED) {
        local->security = SECURITY_MAPPED_XATTR;
    }
    if (local->security == SECURITY_NOT_GIVEN) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fsdev '%s': security_model is missing: give none (files are yours), "
                          "mapped-xattr or mapped-file (the guest's owners are noted beside), or "
                          "passthrough (the guest's owners are the host's; needs root)",
                          fsdev->id);
    }
    return parse_mode(local, "fmode", local->file_mode_text, 0600, &local->file_mode, error) &&
           parse_mode(local, "dmode", local->folder_mode_text, 0700, &local->folder_mode, error) &&
           local_nodes_begin(local, error);
}

static void local_close(Fsdev *fsdev)
{
    local_nodes_end((Local *)fsdev);
}

static const char *const security_names[] = { "unset",       "passthrough", "none", "mapped-xattr",
                                              "mapped-file", "mapped",      NULL };
static const char *const multidevs_names[] = { "warn", "remap", "forbid", NULL };
static const char *const writeout_names[] = { "lazy", "immediate", NULL };

static const Property local_properties[] = {
    { "path", PROPERTY_STRING, offsetof(Local, path), "the folder" },
    { "security_model", PROPERTY_ENUM, offsetof(Local, security),
      "whose owners and modes files have; it must be said", "unset", security_names },
    { "readonly", PROPERTY_BOOL, offsetof(Local, read_only), "the guest cannot change anything",
      "off" },
    { "multidevs", PROPERTY_ENUM, offsetof(Local, multidevs),
      "what is done about file systems that are mounted below the folder", "warn",
      multidevs_names },
    { "fmode", PROPERTY_STRING, offsetof(Local, file_mode_text),
      "mode of the host's files with mapped models (0600)" },
    { "dmode", PROPERTY_STRING, offsetof(Local, folder_mode_text),
      "mode of the host's folders with mapped models (0700)" },
    { "writeout", PROPERTY_ENUM, offsetof(Local, writeout),
      "immediate: the host begins to write to its disk at once", "lazy", writeout_names },
    { 0 },
};

static const FsdevType local_type = {
    .name = "local",
    .summary = "A folder of the host",
    .instance_size = sizeof(Local),
    .properties = local_properties,
    .open = local_open,
    .close = local_close,
    .root = local_root,
    .ref = local_ref,
    .unref = local_unref,
    .parent = local_parent,
    .walk = local_walk,
    .attributes = local_attributes,
    .statfs = local_statfs,
    .open_node = local_open_node,
    .read_link = local_read_link,
    .create = local_create,
    .make = local_make,
    .link = local_link,
    .rename = local_rename,
    .move = local_move,
    .unlink = local_unlink,
    .remove = local_remove,
    .change = local_change,
    .get_xattr = local_get_xattr,
    .list_xattrs = local_list_xattrs,
    .set_xattr = local_set_xattr,
    .remove_xattr = local_remove_xattr,
    .close_file = local_close_file,
    .read = local_read,
    .write = local_write,
    .sync = local_sync,
    .entries = local_entries,
};
FSDEV_TYPE(local_type);
