/* SPDX-License-Identifier: MIT */
/* What all programs say about their version. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/* The version of QEMU whose protocol and options we follow: what programs compare with. */
#define VERSION_PROTOCOL_MAJOR 8
#define VERSION_PROTOCOL_MINOR 2
#define VERSION_PROTOCOL_MICRO 0

/* "Kaso 0.1.0" */
extern const char version_package[];

/* "8.2.0 (Kaso 0.1.0)": programs read the number, people the rest. */
extern const char version_text[];

#endif
