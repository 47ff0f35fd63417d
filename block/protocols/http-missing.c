/* SPDX-License-Identifier: MIT */
/* Stands where http.c would be in a build without libcurl, and says so. */
#include "base/error.h"
#include "block/graph/node.h"

static bool missing_open(BlockNode *node, GHashTable *options, GError **error)
{
    return error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "Images by %s need libcurl (7.85 or later), which was not there when this "
                      "program was built",
                      node->driver->name);
}

#define MISSING_DRIVER(scheme)                                                                     \
    static const char *const scheme##_prefixes[] = { #scheme "://", NULL };                        \
    static const BlockDriver scheme##_driver = {                                                   \
        .name = #scheme,                                                                           \
        .summary = "Not available: built without libcurl",                                         \
        .prefixes = scheme##_prefixes,                                                             \
        .is_protocol = true,                                                                       \
        .open = missing_open,                                                                      \
    };                                                                                             \
    BLOCK_DRIVER(scheme##_driver)

MISSING_DRIVER(http);
MISSING_DRIVER(https);
MISSING_DRIVER(ftp);
MISSING_DRIVER(ftps);
