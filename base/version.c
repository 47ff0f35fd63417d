/* SPDX-License-Identifier: MIT */
/* Our version, and that of QEMU which we follow, as text. */
#include "base/version.h"

#include <glib.h>

#define PROTOCOL                                                                                   \
    G_STRINGIFY(VERSION_PROTOCOL_MAJOR)                                                            \
    "." G_STRINGIFY(VERSION_PROTOCOL_MINOR) "." G_STRINGIFY(VERSION_PROTOCOL_MICRO)

const char version_package[] = "Kaso " KASO_VERSION;
const char version_text[] = PROTOCOL " (Kaso " KASO_VERSION ")";
