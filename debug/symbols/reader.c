/* SPDX-License-Identifier: MIT */
/* From a file to its symbols: picks the reader. */
#include "debug/symbols/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "debug/dwarf/dwarf.h"

static const SymbolReader *const readers[] = {
    &symbol_reader_elf,
    &symbol_reader_pe,
    &symbol_reader_system_map,
};

bool symbol_input_read(const SymbolInput *input, uint64_t offset, void *buffer, size_t size)
{
    char *to = buffer;

    if (offset > input->size || size > input->size - offset) {
        return false;
    }
    while (size) {
        ssize_t n = pread(input->fd, to, size, offset);

        if (n <= 0) {
            return false;
        }
        to += n;
        offset += n;
        size -= n;
    }
    return true;
}

void *symbol_input_get(const SymbolInput *input, uint64_t offset, uint64_t size, uint64_t max)
{
    void *bytes;

    if (size > max || offset > input->size || size > input->size - offset) {
        return NULL;
    }
    bytes = g_malloc(MAX(size, 1));
    if (!symbol_input_read(input, offset, bytes, size)) {
        g_free(bytes);
        return NULL;
    }
    return bytes;
}

char *symbol_input_name(const SymbolInput *input)
{
    return g_path_get_basename(input->path);
}

static SymbolFile *read_open(const SymbolInput *input, const uint64_t *base, GError **error)
{
    uint8_t start[64];
    size_t n = MIN(input->size, sizeof start);

    if (!symbol_input_read(input, 0, start, n)) {
        error_fail(error, KASO_ERROR_IO, "cannot read file '%s'", input->path);
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++) {
        if (readers[i]->matches(start, n)) {
            SymbolFile *file = readers[i]->read(input, base, error);

            if (file && !file->entries->len && !(file->dwarf && dwarf_has_lines(file->dwarf))) {
                symbol_file_free(file);
                error_fail(error, KASO_ERROR_INVALID,
                           "file '%s' has no symbols (it may be stripped: 'symbols fetch FILE' "
                           "asks a server)",
                           input->path);
                return NULL;
            }
            return file;
        }
    }
    error_fail(
        error, KASO_ERROR_INVALID,
        "file '%s' has no symbols that we know: give an ELF, PE or COFF file, or a System.map",
        input->path);
    return NULL;
}

bool symbol_input_open(SymbolInput *input, const char *path, GError **error)
{
    struct stat status;

    *input = (SymbolInput){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
    if (input->fd < 0 || fstat(input->fd, &status) < 0) {
        error_fail_errno(error, errno, "cannot read file '%s'", path);
    } else if (!S_ISREG(status.st_mode)) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is not a file", path);
    } else {
        input->size = (uint64_t)status.st_size;
        return true;
    }
    symbol_input_close(input);
    return false;
}

void symbol_input_close(SymbolInput *input)
{
    if (input->fd >= 0) {
        close(input->fd);
    }
    input->fd = -1;
}

SymbolFile *symbol_file_read(const char *path, const uint64_t *base, GError **error)
{
    SymbolInput input;
    SymbolFile *file;

    if (!symbol_input_open(&input, path, error)) {
        return NULL;
    }
    file = read_open(&input, base, error);
    symbol_input_close(&input);
    return file;
}
