/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-a-board.md: a program that runs on it, and what it says of files that do not fit. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/bits.h"
#include "machine/accelerator.h"
#include "machine/machine.h"

/* Stores a word to the second UART's IBRD register and ends by PSCI SYSTEM_OFF. */
static const uint32_t program[] = {
    0xd2a12000, /* mov x0, #0x09000000 */
    0x91400400, /* add x0, x0, #0x1000 */
    0x52800ba1, /* mov w1, #0x5d */
    0xb9002401, /* str w1, [x0, #0x24] */
    0xd2b08000, /* mov x0, #0x84000000 */
    0xf2800100, /* movk x0, #8 */
    0xd4000002, /* hvc #0 */
};

static Machine *new_machine(const char *kernel, uint64_t ram_bytes)
{
    MachineConfig config = { .target = target_find("aarch64"),
                             .board = board_find("shoebox"),
                             .vcpus = 2,
                             .ram_bytes = ram_bytes,
                             .kernel = g_strdup(kernel),
                             .rtc_base_s = INT64_MIN };
    g_autoptr(GHashTable) options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GError) error = NULL;
    Machine *machine;

    g_assert_nonnull(config.board);
    config.cpu_model = cpu_model_find(config.target, "cortex-a57");
    config.board_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(config.board_options, g_strdup("second-uart"), g_strdup("on"));
    g_hash_table_insert(options, g_strdup("interp"), g_strdup("on")); /* on any host */
    machine = machine_new(&config);
    machine_set_accelerator(machine, accelerator_find("tcg", NULL), options, &error);
    g_assert_no_error(error);
    machine_build(machine, &error);
    g_assert_no_error(error);
    return machine;
}

static char *write_program(size_t size)
{
    char *path = g_strdup_printf("%s/kaso-howto-XXXXXX", g_get_tmp_dir());
    int fd = g_mkstemp(path);

    g_assert_cmpint(write(fd, program, sizeof program), ==, sizeof program);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    close(fd);
    return path;
}

static void test_program(void)
{
    g_autofree char *path = write_program(sizeof program);
    Machine *machine = new_machine(path, MIB(16));
    g_autoptr(GError) error = NULL;
    uint64_t value;

    machine_load(machine, &error);
    g_assert_no_error(error);
    machine_lock(machine);
    machine_reset(machine);
    machine_start(machine);
    machine_unlock(machine);
    g_assert_cmpint(machine_run(machine), ==, 0);
    machine_lock(machine);
    address_space_read(&machine->memory_space, 0x09001024, &value, 4, MEMORY_ATTRIBUTES_DMA);
    machine_unlock(machine);
    g_assert_cmphex(value, ==, 0x5d);
    machine_free(machine);
    g_unlink(path);
}

static void test_files(void)
{
    g_autofree char *path = write_program(MIB(2));
    Machine *machine = new_machine(path, MIB(1));
    g_autoptr(GError) error = NULL;

    g_assert_false(machine_load(machine, &error));
    g_assert_nonnull(strstr(error->message, path));
    machine_free(machine);
    g_clear_error(&error);
    machine = new_machine(NULL, MIB(1));
    g_assert_false(machine_load(machine, &error));
    g_assert_nonnull(strstr(error->message, "-kernel"));
    machine_free(machine);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/add-a-board", test_program);
    g_test_add_func("/howto/add-a-board/files", test_files);
    return g_test_run();
}
