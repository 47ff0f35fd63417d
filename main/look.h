/* SPDX-License-Identifier: MIT */
/* What a file is that somebody wants to run: an image in any format, a kernel, firmware, a program. */
#ifndef MAIN_LOOK_H
#define MAIN_LOOK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    LOOK_UNKNOWN,
    LOOK_DISK,
    LOOK_DISC,     /* ISO 9660 */
    LOOK_KERNEL,
    LOOK_PROGRAM,  /* of EFI */
    LOOK_FIRMWARE, /* U-Boot */
} LookKind;

/* Processors, as bits. */
enum { LOOK_X86_64 = 1, LOOK_I386 = 2, LOOK_AARCH64 = 4, LOOK_ARM = 8 };

typedef struct {
    LookKind kind;
    unsigned processors; /* of a kernel, a program or firmware: one bit */
    unsigned efi;        /* of an image: for which of them it has a BOOT*.EFI */
    bool bios;           /* an image that a PC's BIOS boots */
    bool linux_system;   /* an image with a partition of Linux's */
    const char *format;  /* of an image: raw, qcow2 … */
    const char *what;    /* for people */
} Look;

/* false with an error when the file cannot be read. */
bool look_at(const char *path, Look *look, GError **error);

/* look-fat.c: for the file system that begins at an offset. */
typedef struct Reader Reader;
bool reader_read(Reader *reader, uint64_t offset, void *buffer, size_t size);
/* For which processors EFI/BOOT has programs. */
unsigned look_for_efi_programs(Reader *reader, uint64_t start);

#endif
