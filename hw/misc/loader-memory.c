/* SPDX-License-Identifier: MIT */
/* Loaded files into a machine's memory. */
#include <string.h>

#include "base/error.h"
#include "hw/misc/loader-file.h"
#include "machine/machine.h"

/* RAM, and ROM, which a guest cannot write. NULL: neither. */
static uint8_t *memory_at(Machine *machine, uint64_t address, uint64_t *bytes)
{
    uint64_t wanted = *bytes;
    uint8_t *host = address_space_map(&machine->memory_space, address, bytes, true);

    if (!host) {
        *bytes = wanted;
        host = address_space_map(&machine->memory_space, address, bytes, false);
    }
    return host;
}

static void write_part(Machine *machine, const LoaderPart *part)
{
    gsize size;
    const uint8_t *from = g_bytes_get_data(part->content, &size);

    for (uint64_t done = 0, bytes; done < part->memory_bytes; done += bytes) {
        uint8_t *to;

        bytes = done < size ? size - done : part->memory_bytes - done;
        to = memory_at(machine, part->address + done, &bytes);
        if (!to || !bytes) {
            return; /* a guest has moved the map; what is there now is not for us */
        }
        if (done < size) {
            memcpy(to, from + done, bytes);
        } else {
            memset(to, 0, bytes);
        }
        address_space_dirty(&machine->memory_space, part->address + done, bytes);
    }
}

bool loader_part_check(Machine *machine, const LoaderPart *part, GError **error)
{
    for (uint64_t done = 0, bytes; done < part->memory_bytes; done += bytes) {
        bytes = part->memory_bytes - done;
        if (part->address + done < part->address ||
            !memory_at(machine, part->address + done, &bytes) || !bytes) {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "what is loaded from %#" PRIx64 " to %#" PRIx64 " meets no memory at %#" PRIx64
                " (`info mtree` shows what the machine has)",
                part->address, part->address + part->memory_bytes, part->address + done);
        }
    }
    return true;
}

bool loader_file_check(Machine *machine, const LoaderFile *file, GError **error)
{
    for (unsigned i = 0; file->parts && i < file->parts->len; i++) {
        if (!loader_part_check(machine, &g_array_index(file->parts, LoaderPart, i), error)) {
            return false;
        }
    }
    return true;
}

void loader_file_write(Machine *machine, const LoaderFile *file)
{
    for (unsigned i = 0; file->parts && i < file->parts->len; i++) {
        write_part(machine, &g_array_index(file->parts, LoaderPart, i));
    }
}
