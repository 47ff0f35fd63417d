/* SPDX-License-Identifier: MIT */
#include "debug/core-file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/core-notes.h"

enum { CHUNK = 64 << 10 };

typedef struct {
    uint64_t start, size;
    const uint8_t *host;
} Piece;

/* The RAM of the range, by address. */
static GArray *pieces_of(Machine *machine, const CoreFile *file)
{
    const FlatView *view = atomic_load(&machine->memory_space.view);
    uint64_t end =
        file->length ? file->begin + MIN(file->length, UINT64_MAX - file->begin) : UINT64_MAX;
    GArray *pieces = g_array_new(false, false, sizeof(Piece));

    for (size_t i = 0; view && i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];
        uint64_t from = MAX(range->start, file->begin), to = MIN(range->start + range->size, end);

        if (range->region->kind == MEMORY_RAM && from < to) {
            Piece piece = { from, to - from,
                            range->region->host + range->offset + (from - range->start) };

            g_array_append_val(pieces, piece);
        }
    }
    return pieces;
}

static GByteArray *notes_of(Machine *machine, const CoreFile *file)
{
    GByteArray *notes = g_byte_array_new();

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        vcpu->target->core_notes(vcpu, notes);
    }
    if (file->kernel_note) {
        g_byte_array_append(notes, file->kernel_note, file->kernel_note_size);
    }
    return notes;
}

/* The headers: the file's, the notes', and one for each piece. Sections number the segments where ELF's 16 bits do not. */
static GByteArray *headers_of(Machine *machine, const GArray *pieces, const GByteArray *notes)
{
    size_t segments = pieces->len + 1;
    uint64_t offset = sizeof(Elf64_Ehdr) + segments * sizeof(Elf64_Phdr);
    Elf64_Ehdr header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_CORE,
        .e_machine = machine->config.target->core_machine,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof header,
        .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = segments,
    };
    Elf64_Phdr note = {
        .p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes->len, .p_memsz = notes->len
    };
    GByteArray *headers = g_byte_array_new();

    g_byte_array_append(headers, (const uint8_t *)&header, sizeof header);
    g_byte_array_append(headers, (const uint8_t *)&note, sizeof note);
    offset += notes->len;
    for (unsigned i = 0; i < pieces->len; i++) {
        const Piece *piece = &g_array_index(pieces, Piece, i);
        Elf64_Phdr load = { .p_type = PT_LOAD,
                            .p_flags = PF_R | PF_W | PF_X,
                            .p_offset = offset,
                            .p_paddr = piece->start,
                            .p_vaddr = piece->start,
                            .p_filesz = piece->size,
                            .p_memsz = piece->size };

        g_byte_array_append(headers, (const uint8_t *)&load, sizeof load);
        offset += piece->size;
    }
    return headers;
}

static bool write_all(Machine *machine, int fd, const uint8_t *data, size_t size, GError **error)
{
    while (size) {
        ssize_t n;

        if (machine_end_pending(machine)) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "the dump is not complete: the machine ends");
        }
        n = write(fd, data, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_fail_errno(error, n < 0 ? errno : ENOSPC, "cannot write the dump");
        }
        data += n;
        size -= n;
    }
    return true;
}

static bool write_piece(Machine *machine, const CoreFile *file, const Piece *piece, bool holes,
                        GError **error)
{
    static const uint8_t zeros[CHUNK];

    for (uint64_t at = 0; at < piece->size; at += CHUNK) {
        size_t n = MIN(piece->size - at, CHUNK);

        if (holes && memcmp(piece->host + at, zeros, n) == 0) {
            if (lseek(file->fd, n, SEEK_CUR) < 0) {
                return error_fail_errno(error, errno, "cannot write the dump");
            }
        } else if (!write_all(machine, file->fd, piece->host + at, n, error)) {
            return false;
        }
    }
    return true;
}

uint64_t core_file_size(Machine *machine, const CoreFile *file)
{
    g_autoptr(GArray) pieces = pieces_of(machine, file);
    uint64_t size = 0;

    for (unsigned i = 0; i < pieces->len; i++) {
        size += g_array_index(pieces, Piece, i).size;
    }
    return size;
}

bool core_file_write(Machine *machine, const CoreFile *file, GError **error)
{
    g_autoptr(GArray) pieces = pieces_of(machine, file);
    g_autoptr(GByteArray) notes = notes_of(machine, file);
    g_autoptr(GByteArray) headers = headers_of(machine, pieces, notes);
    struct stat status;
    bool holes = fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode);

    if (!write_all(machine, file->fd, headers->data, headers->len, error) ||
        !write_all(machine, file->fd, notes->data, notes->len, error)) {
        return false;
    }
    for (unsigned i = 0; i < pieces->len; i++) {
        if (!write_piece(machine, file, &g_array_index(pieces, Piece, i), holes, error)) {
            return false;
        }
    }
    /* The last hole counts. */
    if (holes && ftruncate(file->fd, MAX(lseek(file->fd, 0, SEEK_CUR), status.st_size)) < 0) {
        return error_fail_errno(error, errno, "cannot write the dump");
    }
    return true;
}
