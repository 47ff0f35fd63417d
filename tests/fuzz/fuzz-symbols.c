/* SPDX-License-Identifier: MIT */
/* What the debugger reads of strangers: files with symbols (ELF, PE, System.map), kallsyms and BTF in a guest's memory. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "debug/linux/btf.h"
#include "debug/linux/exports.h"
#include "debug/linux/kallsyms.h"
#include "debug/symbols/file.h"
#include "tests/fuzz/fuzz.h"

static void read_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    uint64_t base = 0x10000, address;
    SymbolFile *file;

    if (write(fd, data, size) == (ssize_t)size) {
        g_autoptr(GError) error = NULL;

        file = symbol_file_read(path, size & 1 ? &base : NULL, &error);
        g_assert_true(!file == !!error);
        if (file) {
            symbol_file_address(file, "main", &address);
            symbol_file_free(file);
        }
    }
    close(fd);
}

static void add_symbol(void *opaque, const char *name, size_t length, char type, uint64_t address)
{
    symbol_file_add(opaque, name, length, address, 0, type);
}

static void read_kallsyms(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    Kallsyms tables;

    for (unsigned i = 0;
         i < 4 && (at = memmem(at, size - (at - data), kallsyms_needle, KALLSYMS_NEEDLE_SIZE));
         i++) {
        if (kallsyms_parse(&tables, data, size, at - data)) {
            SymbolFile *file = symbol_file_new("fuzz", NULL, "kallsyms", SYMBOLS_KERNEL);

            kallsyms_foreach(&tables, add_symbol, file);
            symbol_file_finish(file);
            linux_exports_add(file, data, size, UINT64_C(0xffff800000000000));
            symbol_file_free(file);
        }
        at++;
    }
}

static void read_types(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    Types *types = btf_parse(data, size, &error);
    TypePlace place;
    unsigned stars;
    uint32_t number;

    g_assert_true(!types == !!error);
    if (!types) {
        return;
    }
    types_find(types, "struct a *", &number, &stars);
    for (uint32_t i = 0; i < MIN(types->types->len, 200); i++) {
        g_free(types_describe(types, i));
        types_size(types, i);
        types_member(types, i, "b.c[2].d", &place);
    }
    types_free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size) {
        read_file(data, size);
        read_kallsyms(data, size);
        read_types(data, size);
    }
    return 0;
}
