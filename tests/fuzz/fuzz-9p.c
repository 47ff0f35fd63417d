/* SPDX-License-Identifier: MIT */
/*
 * A shared folder's messages: the first byte chooses the security model; then of each message its type, how many bytes of body follow
 * (at most 255), and these. The folder is mounted as fid 0 before, with a few files in it. Nothing beside it may change.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "hw/9p/9p.h"
#include "tests/device/bench.h"
#include "tests/fuzz/fuzz.h"

enum { REQUEST = DRIVER_DATA, REPLY = DRIVER_DATA + 0x10000, ROOM = 0x2000, STEPS = 64 };

static const char *const models[] = { "none", "mapped-xattr", "mapped-file" };

static void send_message(Driver *driver, unsigned type, const uint8_t *body, unsigned size)
{
    const Buffer buffers[] = { { REQUEST, NINEP_HEADER + size, false }, { REPLY, ROOM, true } };
    uint8_t *out = bench_ram(driver->bench, REQUEST);

    store_le32(out, NINEP_HEADER + size);
    out[4] = (uint8_t)type;
    store_le16(out + 5, 1);
    memcpy(out + NINEP_HEADER, body, size);
    driver_add(driver, 0, buffers, 2);
    driver_kick(driver, 0);
    while (!driver_used_any(driver, 0)) {
        bench_run_main_loop(driver->bench);
    }
    driver_wait(driver, 0);
}

static void run_command(const char *program, const char *option, const char *path)
{
    char *argv[] = { (char *)program, (char *)option, (char *)path, NULL };

    g_assert_true(
        g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static void write_file(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* A folder with the shared one, and a file that is none of the guest's. */
static char *make_folder(void)
{
    char *folder = g_dir_make_tmp("kaso-fuzz-9p-XXXXXX", NULL);
    g_autofree char *inner = g_build_filename(folder, "share/folder", NULL);
    g_autofree char *link = g_build_filename(folder, "share/link", NULL);

    g_assert_cmpint(g_mkdir_with_parents(inner, 0755), ==, 0);
    write_file(folder, "share/file", "contents");
    write_file(folder, "outside", "outside");
    g_assert_cmpint(symlink("../outside", link), ==, 0);
    return folder;
}

/* What was made beside the folder, or is no longer as it was, came there by a way out. */
static void check_outside(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "outside", NULL), *text = NULL;
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;
    struct stat stat;

    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    g_assert_cmpuint(count, ==, 2);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "outside");
    g_assert_cmpint(lstat(path, &stat), ==, 0);
    g_assert_cmpuint(stat.st_nlink, ==, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t version[] = "\0\x20\0\0\x08\0"
                                     "9P2000.L";
    static const uint8_t attach[16] = { [4] = 0xff, 0xff, 0xff, 0xff };
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *folder = make_folder(), *share = g_build_filename(folder, "share", NULL);
    Bench *bench = driver_bench_new(DRIVE_MMIO);
    const uint8_t *at = data + 1, *end = data + size;
    Driver *driver;

    g_hash_table_insert(options, (void *)"path", share);
    g_hash_table_insert(options, (void *)"security_model",
                        (void *)models[size ? data[0] % G_N_ELEMENTS(models) : 0]);
    g_assert_nonnull(fsdev_new(bench->machine, "fs", "local", options, NULL));
    driver = driver_new(bench, DRIVE_MMIO, "virtio-9p", "fsdev", "fs", "mount_tag", "tag", NULL);
    driver_start(driver, 0, 1);
    send_message(driver, NINEP_TVERSION, version, sizeof version - 1);
    send_message(driver, NINEP_TATTACH, attach, sizeof attach);
    for (unsigned step = 0; step < STEPS && size && end - at >= 2 && at[1] <= end - at - 2;
         step++) {
        send_message(driver, at[0], at + 2, at[1]);
        at += 2 + at[1];
    }
    driver_free(driver);
    check_outside(folder);
    run_command("rm", "-rf", folder);
    return 0;
}
