/* SPDX-License-Identifier: MIT */
/* Symbol files and the store: formats, look-ups both ways, names that mean several places, and damaged files. */
#include <elf.h>
#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "machine/machine.h"

static const char map_text[] = "0000000000000000 A fixed_percpu_data\n"
                               "0000000000001000 A cpu_number\n"
                               "ffffffff81000000 T _stext\n"
                               "ffffffff81000000 T startup_64\n"
                               "ffffffff81000100 t helper\n"
                               "ffffffff81000200 T start_kernel\n"
                               "ffffffff81000300 t helper\n"
                               "ffffffff81000400 B _end\n";

static Machine *new_machine(void)
{
    MachineConfig config = { .board = NULL };

    return machine_new(&config);
}

static char *write_file(const void *bytes, size_t size)
{
    g_autoptr(GError) error = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("symbols-XXXXXX", &path, &error);

    g_assert_no_error(error);
    close(fd);
    g_file_set_contents(path, bytes, size, &error);
    g_assert_no_error(error);
    return path;
}

static unsigned add(Machine *machine, const void *bytes, size_t size, const uint64_t *base)
{
    g_autofree char *path = write_file(bytes, size);
    g_autoptr(GError) error = NULL;
    unsigned number = 0;

    machine_lock(machine);
    symbols_add(machine, path, base, &number, &error);
    machine_unlock(machine);
    unlink(path);
    return number;
}

static void test_map(void)
{
    Machine *machine = new_machine();
    uint64_t base = 0xffffffff9a000000, address;
    g_autoptr(GError) error = NULL;
    Symbol found[4];
    char *text;

    g_assert_cmpuint(add(machine, map_text, strlen(map_text), NULL), ==, 1);
    machine_lock(machine);
    g_assert_cmpuint(symbols_find(machine, NULL, "start_kernel", found, 4), ==, 1);
    g_assert_cmphex(found[0].address, ==, 0xffffffff81000200);
    g_assert_cmphex(found[0].size, ==, 0x100);
    g_assert_cmpuint(symbols_find(machine, NULL, "helper", found, 1), ==, 2);
    g_assert_false(symbols_address(machine, NULL, "helper", &address, &error));
    g_assert_nonnull(strstr(error->message, "0xffffffff81000300"));
    text = symbols_describe(machine, NULL, 0xffffffff81000210);
    g_assert_cmpstr(text, ==, "start_kernel+0x10");
    g_free(text);
    text = symbols_describe(machine, NULL, 0xffffffff81000000);
    g_assert_cmpstr(text, ==, "startup_64"); /* rather than the one with the underscore */
    g_free(text);
    g_assert_null(symbols_describe(machine, NULL, 0x1004)); /* a number, no place */
    g_assert_null(symbols_describe(machine, NULL, 0xffffffff81000401));
    g_assert_true(symbols_remove(machine, "1", NULL));
    g_assert_cmpuint(symbols_find(machine, NULL, "start_kernel", found, 4), ==, 0);
    machine_unlock(machine);

    /* Moved: what is linked at 0 is not the base. */
    g_assert_cmpuint(add(machine, map_text, strlen(map_text), &base), ==, 2);
    machine_lock(machine);
    g_assert_true(symbols_address(machine, NULL, "start_kernel", &address, NULL));
    g_assert_cmphex(address, ==, 0xffffffff9a000200);
    machine_unlock(machine);
    machine_free(machine);
}

typedef struct {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    Elf64_Shdr sections[4];
    Elf64_Sym symbols[4];
    char strings[32];
} TinyElf;

static TinyElf tiny_elf(void)
{
    TinyElf elf = {
        .header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_phoff = offsetof(TinyElf, segment),
                    .e_phnum = 1,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_shoff = offsetof(TinyElf, sections),
                    .e_shnum = 4,
                    .e_shentsize = sizeof(Elf64_Shdr) },
        .segment = { .p_type = PT_LOAD, .p_vaddr = 0x10000, .p_memsz = 0x1000 },
        .sections = { { 0 },
                      { .sh_type = SHT_PROGBITS,
                        .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                        .sh_addr = 0x10000,
                        .sh_size = 0x1000 },
                      { .sh_type = SHT_SYMTAB,
                        .sh_offset = offsetof(TinyElf, symbols),
                        .sh_size = sizeof(Elf64_Sym) * 4,
                        .sh_entsize = sizeof(Elf64_Sym),
                        .sh_link = 3 },
                      { .sh_type = SHT_STRTAB,
                        .sh_offset = offsetof(TinyElf, strings),
                        .sh_size = 32 } },
        .symbols = { { 0 },
                     { 1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x10010, 0x20 },
                     { 6, ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), 0, 1, 0x10018, 0 },
                     { 9, ELF64_ST_INFO(STB_LOCAL, STT_FUNC), 0, 1, 0x10040, 0x10 } },
        .strings = "\0main\0$x\0other",
    };

    return elf;
}

static void test_elf(void)
{
    Machine *machine = new_machine();
    TinyElf elf = tiny_elf();
    uint64_t base = 0x80000000;
    Symbol found[2], symbol;

    g_assert_cmpuint(add(machine, &elf, sizeof elf, NULL), ==, 1);
    g_assert_cmpuint(add(machine, &elf, sizeof elf, &base), ==, 2);
    machine_lock(machine);
    g_assert_cmpuint(symbols_find(machine, NULL, "main", found, 2), ==, 2);
    g_assert_cmphex(found[0].address, ==, 0x10010);
    g_assert_cmphex(found[1].address, ==, 0x80000010);
    g_assert_true(found[0].type == 'T');
    g_assert_cmpuint(symbols_find(machine, NULL, "$x", found, 2), ==, 0);
    g_assert_true(symbols_at(machine, NULL, 0x80000045, &symbol));
    g_assert_cmpstr(symbol.name, ==, "other");
    machine_unlock(machine);
    machine_free(machine);
}

/* Each byte of the headers, changed; and the file cut off at each place: no crash, an answer. */
static void test_damaged_elf(void)
{
    Machine *machine = new_machine();

    for (size_t i = 0; i < sizeof(TinyElf); i++) {
        static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
        TinyElf elf = tiny_elf();

        ((uint8_t *)&elf)[i] = values[i % G_N_ELEMENTS(values)];
        add(machine, &elf, sizeof elf, NULL);
        elf = tiny_elf();
        add(machine, &elf, i, NULL);
    }
    machine_free(machine);
}

static void test_refused(void)
{
    static const char *const texts[] = { "", "x", "MZ", "VZ", "\177ELF", "12345678 nonsense" };
    Machine *machine = new_machine();
    g_autoptr(GError) error = NULL;
    unsigned number;

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_cmpuint(add(machine, texts[i], strlen(texts[i]), NULL), ==, 0);
    }
    machine_lock(machine);
    g_assert_false(symbols_add(machine, "/dev/zero", NULL, &number, &error));
    g_clear_error(&error);
    g_assert_false(symbols_add(machine, "/nowhere", NULL, &number, &error));
    g_clear_error(&error);
    g_assert_false(symbols_remove(machine, "7", &error));
    machine_unlock(machine);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/symbols/map", test_map);
    g_test_add_func("/symbols/elf", test_elf);
    g_test_add_func("/symbols/damaged-elf", test_damaged_elf);
    g_test_add_func("/symbols/refused", test_refused);
    return g_test_run();
}
