/* SPDX-License-Identifier: MIT */
#include "machine/core-notes.h"

#include <elf.h>
#include <string.h>

#include "base/bits.h"

/* Linux's struct elf_prstatus on 64-bit machines. */
enum { PRSTATUS_PID = 32, PRSTATUS_REGISTERS = 112, PRSTATUS_AFTER = 8 };

static void append_padded(GByteArray *notes, const void *bytes, size_t size)
{
    static const uint8_t zeros[3];

    g_byte_array_append(notes, bytes, size);
    g_byte_array_append(notes, zeros, align_up(size, 4) - size);
}

void core_note_add(GByteArray *notes, const char *name, uint32_t type, const void *content,
                   size_t size)
{
    Elf64_Nhdr header = { .n_namesz = strlen(name) + 1, .n_descsz = size, .n_type = type };

    g_byte_array_append(notes, (const uint8_t *)&header, sizeof header);
    append_padded(notes, name, header.n_namesz);
    append_padded(notes, content, size);
}

void core_note_add_prstatus(GByteArray *notes, unsigned cpu, const uint64_t *registers,
                            unsigned count)
{
    size_t size = PRSTATUS_REGISTERS + count * sizeof *registers + PRSTATUS_AFTER;
    g_autofree uint8_t *status = g_malloc0(size);

    store_le32(status + PRSTATUS_PID, cpu + 1);
    for (unsigned i = 0; i < count; i++) {
        store_le64(status + PRSTATUS_REGISTERS + 8 * i, registers[i]);
    }
    core_note_add(notes, "CORE", CORE_NOTE_PRSTATUS, status, size);
}
