/* SPDX-License-Identifier: MIT */
/* Shared folders by their messages: each one, what is kept of them on the host, and what must not get out of the folder. */
#include "tests/device/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bits.h"
#include "hw/9p/9p.h"
#include "machine/fsdev.h"
#include "machine/saved-state.h"

enum {
    REQUEST = DRIVER_DATA,
    REPLY = DRIVER_DATA + 0x100000,
    ROOM = 0x20000,
    MSIZE = 0x10000,
    ERROR = 7,
    NO_FID = -1,
    ROOT = 0, /* the attached fid */
};

typedef struct {
    Driver *driver;
    char *folder;   /* of the host */
    uint8_t *reply; /* the last one's body */
    unsigned size;  /* of that body */
} Client;

/* A message by a format: 1, 2, 4, 8: a number; s: a string. Returns its size. */
static unsigned build(uint8_t *out, unsigned type, unsigned tag, const char *format, va_list values)
{
    uint8_t *at = out + NINEP_HEADER;

    for (; *format; format++) {
        if (*format == 's') {
            const char *text = va_arg(values, const char *);

            store_le16(at, (uint16_t)strlen(text));
            memcpy(at + 2, text, strlen(text));
            at += 2 + strlen(text);
        } else {
            uint8_t bytes[8];

            store_le64(bytes, *format == '8' ? va_arg(values, uint64_t) : va_arg(values, unsigned));
            memcpy(at, bytes, (size_t)(*format - '0'));
            at += *format - '0';
        }
    }
    store_le32(out, (uint32_t)(at - out));
    out[4] = (uint8_t)type;
    store_le16(out + 5, (uint16_t)tag);
    return (unsigned)(at - out);
}

/* Threads answer; a busy host may let them wait. */
static unsigned wait_used(Driver *driver)
{
    for (unsigned i = 0; i < 60000 && !driver_used_any(driver, 0); i++) {
        bench_run_main_loop(driver->bench);
        g_usleep(100);
    }
    return driver_wait(driver, 0);
}

static int exchange(Client *client, unsigned type, unsigned size)
{
    const Buffer buffers[] = { { REQUEST, size, false }, { REPLY, ROOM, true } };
    const uint8_t *reply = bench_ram(client->driver->bench, REPLY);
    unsigned written;

    driver_add(client->driver, 0, buffers, 2);
    driver_kick(client->driver, 0);
    written = wait_used(client->driver);
    g_assert_cmpuint(written, >=, NINEP_HEADER);
    g_assert_cmpuint(load_le32(reply), ==, written);
    client->reply = (uint8_t *)reply + NINEP_HEADER;
    client->size = written - NINEP_HEADER;
    if (reply[4] == ERROR) {
        return -(int)load_le32(client->reply);
    }
    g_assert_cmpuint(reply[4], ==, type + 1);
    return 0;
}

/* Sends a message; 0 or -errno. */
static int ask(Client *client, unsigned type, const char *format, ...)
{
    va_list values;
    unsigned size;

    va_start(values, format);
    size = build(bench_ram(client->driver->bench, REQUEST), type, 1, format, values);
    va_end(values);
    return exchange(client, type, size);
}

static int ask_write(Client *client, unsigned fid, uint64_t offset, const void *data, unsigned size)
{
    uint8_t *message = bench_ram(client->driver->bench, REQUEST);

    store_le32(message, NINEP_HEADER + 16 + size);
    message[4] = NINEP_TWRITE;
    store_le16(message + 5, 1);
    store_le32(message + 7, fid);
    store_le64(message + 11, offset);
    store_le32(message + 19, size);
    memcpy(message + 23, data, size);
    return exchange(client, NINEP_TWRITE, NINEP_HEADER + 16 + size);
}

/* One name, or with "" a copy. */
static int walk(Client *client, unsigned fid, unsigned new_fid, const char *name)
{
    return *name ? ask(client, NINEP_TWALK, "442s", fid, new_fid, 1, name)
                 : ask(client, NINEP_TWALK, "442", fid, new_fid, 0);
}

static int clunk(Client *client, unsigned fid)
{
    return ask(client, NINEP_TCLUNK, "4", fid);
}

/* The file `name` of the root as an open fid. */
static void create(Client *client, unsigned fid, const char *name, unsigned mode)
{
    g_assert_cmpint(walk(client, ROOT, fid, ""), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TLCREATE, "4s444", fid, name, 2u, mode, 1234u), ==, 0);
}

static char *host_path(const Client *client, const char *name)
{
    return g_build_filename(client->folder, name, NULL);
}

static void host_write(const Client *client, const char *name, const char *text)
{
    g_autofree char *path = host_path(client, name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *host_read(const Client *client, const char *name)
{
    g_autofree char *path = host_path(client, name);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static bool host_has(const Client *client, const char *name)
{
    g_autofree char *path = host_path(client, name);
    struct stat stat;

    return lstat(path, &stat) == 0;
}

static void attach(Client *client)
{
    g_assert_cmpint(ask(client, NINEP_TVERSION, "4s", MSIZE, "9P2000.L"), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, MSIZE);
    g_assert_cmpint(ask(client, NINEP_TATTACH, "44ss4", ROOT, NO_FID, "root", "", 1000u), ==, 0);
    g_assert_cmphex(client->reply[0], ==, NINEP_QID_FOLDER);
}

static Client *client_new(DriveKind kind, const char *model, const char *option, const char *value)
{
    Client *client = g_new0(Client, 1);
    Bench *bench = driver_bench_new(kind);
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
    GError *error = NULL;

    client->folder = g_dir_make_tmp("kaso-9p-XXXXXX", NULL);
    g_hash_table_insert(options, (void *)"path", client->folder);
    g_hash_table_insert(options, (void *)"security_model", (void *)model);
    if (option) {
        g_hash_table_insert(options, (void *)option, (void *)value);
    }
    fsdev_new(bench->machine, "fs", "local", options, &error);
    g_assert_no_error(error);
    client->driver = driver_new(bench, kind, "virtio-9p", "fsdev", "fs", "mount_tag", "tag", NULL);
    driver_start(client->driver, 0, 1);
    return client;
}

static Client *mounted(const char *model)
{
    Client *client = client_new(DRIVE_MMIO, model, NULL, NULL);

    attach(client);
    return client;
}

static void client_free(Client *client)
{
    char *command[] = { (char *)"rm", (char *)"-rf", client->folder, NULL };

    driver_free(client->driver);
    g_assert_true(
        g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(client->folder);
    g_free(client);
}

/* The way to a file, over each transport. */
static void test_read(gconstpointer kind)
{
    Client *client = client_new(*(const DriveKind *)kind, "none", NULL, NULL);

    host_write(client, "file", "hello");
    g_assert_cmpuint(driver_config(client->driver, 0, 2), ==, 3);
    g_assert_cmpuint(driver_config(client->driver, 2, 1), ==, 't');
    attach(client);
    g_assert_cmpint(walk(client, ROOT, 1, "file"), ==, 0);
    g_assert_cmpuint(load_le16(client->reply), ==, 1);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 1, (uint64_t)0, 100), ==, -EINVAL);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 0), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 1, (uint64_t)1, 100), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, 4);
    g_assert_cmpmem(client->reply + 4, 4, "ello", 4);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 1, (uint64_t)5, 100), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, 0);
    g_assert_cmpint(clunk(client, 1), ==, 0);
    g_assert_cmpint(clunk(client, 1), ==, -EBADF);
    client_free(client);
}

static void test_version(void)
{
    Client *client = client_new(DRIVE_MMIO, "none", NULL, NULL);

    g_assert_cmpint(ask(client, NINEP_TATTACH, "44ss4", ROOT, NO_FID, "", "", 0), ==, -EOPNOTSUPP);
    g_assert_cmpint(ask(client, NINEP_TVERSION, "4s", MSIZE, "9P3000"), ==, 0);
    g_assert_cmpmem(client->reply + 6, 7, "unknown", 7);
    g_assert_cmpint(ask(client, NINEP_TVERSION, "4s", 100u, "9P2000.L"), ==, -EMSGSIZE);
    g_assert_cmpint(ask(client, NINEP_TVERSION, "4s", UINT32_MAX, "9P2000.L"), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, NINEP_MSIZE_MOST);
    attach(client);
    g_assert_cmpint(ask(client, NINEP_TAUTH, "4ss4", 9, "", "", 0), ==, -EOPNOTSUPP);
    g_assert_cmpint(ask(client, NINEP_TATTACH, "44ss4", ROOT, NO_FID, "", "", 0), ==, -EINVAL);
    g_assert_cmpint(walk(client, ROOT, 5, ""), ==, 0);
    attach(client); /* a new session has no fids */
    g_assert_cmpint(clunk(client, 5), ==, -EBADF);
    client_free(client);
}

static void test_walk(void)
{
    Client *client = mounted("none");
    g_autofree char *deep = host_path(client, "a/b/c");

    g_mkdir_with_parents(deep, 0700);
    g_assert_cmpint(ask(client, NINEP_TWALK, "442sss", ROOT, 1, 3, "a", "b", "c"), ==, 0);
    g_assert_cmpuint(load_le16(client->reply), ==, 3);
    g_assert_cmpint(ask(client, NINEP_TWALK, "442sss", ROOT, 2, 3, "a", "x", "c"), ==, 0);
    g_assert_cmpuint(load_le16(client->reply), ==, 1); /* as far as it goes, and no fid */
    g_assert_cmpuint(client->size, ==, 2 + 13);
    g_assert_cmpint(clunk(client, 2), ==, -EBADF);
    g_assert_cmpint(walk(client, ROOT, 2, "x"), ==, -ENOENT);
    g_assert_cmpint(walk(client, ROOT, 2, "a/b"), ==, -ENOENT);
    g_assert_cmpint(ask(client, NINEP_TWALK, "442s", ROOT, 2, 1, ""), ==, -ENOENT);
    g_assert_cmpint(ask(client, NINEP_TWALK, "442", ROOT, 2, 17), ==, -EINVAL);
    /* The root is above itself. */
    g_assert_cmpint(ask(client, NINEP_TWALK, "442sssss", 1, 2, 5, "..", "..", "..", "..", "a"), ==,
                    0);
    g_assert_cmpint(ask(client, NINEP_TRENAMEAT, "4s4s", ROOT, "a", ROOT, "z"), ==, 0);
    g_assert_cmpint(walk(client, 1, 3, ".."), ==, 0); /* fids follow */
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", 1, "new", 0700u, 0), ==, 0);
    g_assert_true(host_has(client, "z/b/c/new"));
    g_assert_cmpint(walk(client, 1, 1, "new"), ==, 0); /* in place */
    client_free(client);
}

/* No link of guest or host leads out, and nothing but files and folders is opened. */
static void test_escape(void)
{
    Client *client = mounted("none");
    g_autofree char *link = host_path(client, "out"), *pipe = host_path(client, "pipe");

    g_assert_cmpint(symlink("/etc", link), ==, 0);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TWALK, "442ss", ROOT, 1, 2, "out", "passwd"), ==, 0);
    g_assert_cmpuint(load_le16(client->reply), ==, 1);
    g_assert_cmpint(walk(client, ROOT, 1, "out"), ==, 0);
    g_assert_cmphex(client->reply[2], ==, NINEP_QID_LINK);
    g_assert_cmpint(walk(client, 1, 2, "passwd"), ==, -ENOTDIR);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 0), ==, -ELOOP);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", 1, "x", 0700u, 0), ==, -ENOTDIR);
    g_assert_cmpint(ask(client, NINEP_TLCREATE, "4s444", 1, "x", 1u, 0600u, 0), ==, -ENOTDIR);
    g_assert_cmpint(walk(client, ROOT, 3, "pipe"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 3, 0), ==, -ENXIO);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, "../x", 0700u, 0), ==, -ENOENT);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, "..", 0700u, 0), ==, -EEXIST);
    g_assert_cmpint(ask(client, NINEP_TRENAMEAT, "4s4s", ROOT, "pipe", ROOT, "../p"), ==, -ENOENT);
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", ROOT, "..", 0x200u), ==, -EEXIST);
    g_assert_cmpint(ask(client, NINEP_TREMOVE, "4", ROOT), ==, -EBUSY);
    client_free(client);
}

static void test_files(void)
{
    Client *client = mounted("none");
    g_autofree char *text = NULL;
    struct stat stat;
    g_autofree char *path = host_path(client, "new");

    create(client, 1, "new", 0640);
    g_assert_cmpint(ask_write(client, 1, 3, "abc", 3), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, 3);
    g_assert_cmpint(ask(client, NINEP_TFSYNC, "44", 1, 1), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TGETATTR, "48", 1, ~(uint64_t)0), ==, 0);
    g_assert_cmphex(load_le32(client->reply + 21), ==, S_IFREG | 0640);
    g_assert_cmpuint(load_le64(client->reply + 49), ==, 6);
    g_assert_cmpint(lstat(path, &stat), ==, 0);
    g_assert_cmphex(stat.st_mode, ==, S_IFREG | 0640);
    /* mode, size, times: all but owners */
    g_assert_cmpint(ask(client, NINEP_TSETATTR,
                        "444448"
                        "8888",
                        1, 0x1b9u, 0600u, 0, 0, (uint64_t)4, (uint64_t)100, (uint64_t)1,
                        (uint64_t)200, (uint64_t)2),
                    ==, 0);
    g_assert_cmpint(lstat(path, &stat), ==, 0);
    g_assert_cmphex(stat.st_mode, ==, S_IFREG | 0600);
    g_assert_cmpint(stat.st_size, ==, 4);
    g_assert_cmpint(stat.st_atim.tv_sec, ==, 100);
    g_assert_cmpint(stat.st_mtim.tv_nsec, ==, 2);
    /* It lives on without a name. */
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", ROOT, "new", 0), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 1, (uint64_t)3, 100), ==, 0);
    g_assert_cmpmem(client->reply + 4, 1, "a", 1);
    g_assert_cmpint(ask(client, NINEP_TGETATTR, "48", 1, ~(uint64_t)0), ==, 0);
    g_assert_cmpuint(load_le64(client->reply + 33), ==, 0); /* links */
    g_assert_cmpint(ask(client, NINEP_TREMOVE, "4", 1), ==, -ENOENT);
    g_assert_cmpint(clunk(client, 1), ==, -EBADF); /* remove ends a fid even so */
    g_assert_cmpint(ask(client, NINEP_TSTATFS, "4", ROOT), ==, 0);
    g_assert_cmpuint(load_le32(client->reply + 56), ==, 255);
    text = host_read(client, "new");
    g_assert_null(text);
    client_free(client);
}

static void test_names(void)
{
    Client *client = mounted("none");
    g_autofree char *moved = NULL, *linked = NULL;

    host_write(client, "a", "1");
    host_write(client, "b", "2");
    g_assert_cmpint(walk(client, ROOT, 1, "a"), ==, 0);
    g_assert_cmpint(walk(client, ROOT, 2, "b"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TLINK, "44s", ROOT, 1, "hard"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TSYMLINK, "4ss4", ROOT, "soft", "some/where", 0), ==, 0);
    g_assert_cmpint(walk(client, ROOT, 3, "soft"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREADLINK, "4", 3), ==, 0);
    g_assert_cmpmem(client->reply + 2, 10, "some/where", 10);
    g_assert_cmpint(ask(client, NINEP_TREADLINK, "4", 1), ==, -EINVAL);
    g_assert_cmpint(ask(client, NINEP_TMKNOD, "4s4444", ROOT, "p", S_IFIFO | 0600u, 0, 0, 0), ==,
                    0);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, "d", 0755u, 0), ==, 0);
    g_assert_cmphex(client->reply[0], ==, NINEP_QID_FOLDER);
    g_assert_cmpint(walk(client, ROOT, 4, "d"), ==, 0);
    /* By fid, over a file that another fid has. */
    g_assert_cmpint(ask(client, NINEP_TRENAME, "44s", 1, ROOT, "b"), ==, 0);
    moved = host_read(client, "b");
    g_assert_cmpstr(moved, ==, "1");
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 2, 0), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 2, (uint64_t)0, 9), ==, 0);
    g_assert_cmpmem(client->reply + 4, 1, "2", 1);
    g_assert_cmpint(ask(client, NINEP_TRENAME, "44s", 1, 4, "a"), ==, 0);
    linked = host_read(client, "d/a");
    g_assert_cmpstr(linked, ==, "1");
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", ROOT, "d", 0x200u), ==, -ENOTEMPTY);
    g_assert_cmpint(ask(client, NINEP_TREMOVE, "4", 1), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREMOVE, "4", 4), ==, 0);
    g_assert_false(host_has(client, "d"));
    g_assert_cmpint(ask(client, NINEP_TRENAMEAT, "4s4s", ROOT, "none", ROOT, "x"), ==, -ENOENT);
    client_free(client);
}

static void test_readdir(void)
{
    enum { FILES = 300 };
    Client *client = mounted("none");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t offset = 0;
    bool more = true;

    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("a-file-with-a-name-%u", i);

        host_write(client, name, "");
    }
    g_assert_cmpint(walk(client, ROOT, 1, ""), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREADDIR, "484", 1, offset, 1000), ==, -EINVAL);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 0200000u), ==, 0);
    while (more) {
        const uint8_t *at, *end;

        g_assert_cmpint(ask(client, NINEP_TREADDIR, "484", 1, offset, 1000), ==, 0);
        at = client->reply + 4;
        end = at + load_le32(client->reply);
        g_assert_cmpint(end - at, <=, 1000);
        more = at < end;
        while (at < end) {
            unsigned length = load_le16(at + 22);

            offset = load_le64(at + 13);
            g_assert_true(g_hash_table_add(seen, g_strndup((const char *)at + 24, length)));
            at += 24 + length;
        }
    }
    g_assert_cmpuint(g_hash_table_size(seen), ==, FILES + 2);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 1, (uint64_t)0, 10), ==, -EISDIR);
    client_free(client);
}

static void set_xattr(Client *client, const char *name, const char *value, int expected)
{
    g_assert_cmpint(walk(client, ROOT, 7, "file"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TXATTRCREATE, "4s84", 7, name, (uint64_t)strlen(value), 0),
                    ==, 0);
    g_assert_cmpint(ask_write(client, 7, 0, value, (unsigned)strlen(value)), ==, 0);
    g_assert_cmpint(clunk(client, 7), ==, expected);
}

static void test_xattr(void)
{
    Client *client = mounted("mapped-xattr");
    g_autofree char *path = host_path(client, "file");
    char value[16];

    host_write(client, "file", "");
    if (setxattr(path, "user.probe", "x", 1, 0) != 0) {
        g_test_skip("the temporary folder's file system has no attributes");
        client_free(client);
        return;
    }
    removexattr(path, "user.probe");
    set_xattr(client, "user.colour", "blue", 0);
    g_assert_cmpint(getxattr(path, "user.colour", value, sizeof value), ==, 4);
    set_xattr(client, "user.virtfs.uid", "evil", -EACCES);
    set_xattr(client, "trusted.x", "evil", -EOPNOTSUPP);
    g_assert_cmpint(setxattr(path, "user.virtfs.uid", "\1\2\0\0", 4, 0), ==, 0);
    g_assert_cmpint(walk(client, ROOT, 1, "file"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TXATTRWALK, "44s", 1, 2, "user.colour"), ==, 0);
    g_assert_cmpuint(load_le64(client->reply), ==, 4);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 2, (uint64_t)1, 100), ==, 0);
    g_assert_cmpmem(client->reply + 4, 3, "lue", 3);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 2, (uint64_t)100, 100), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TXATTRWALK, "44s", 1, 3, ""), ==,
                    0); /* the list has no more */
    g_assert_cmpuint(load_le64(client->reply), ==, sizeof "user.colour");
    g_assert_cmpint(ask(client, NINEP_TXATTRWALK, "44s", 1, 4, "user.virtfs.uid"), ==, -ENODATA);
    g_assert_cmpint(ask(client, NINEP_TXATTRCREATE, "4s84", 1, "user.x", (uint64_t)1 << 40, 0), ==,
                    -ENOSPC);
    set_xattr(client, "user.colour", "", 0);
    g_assert_cmpint(getxattr(path, "user.colour", value, sizeof value), ==, -1);
    removexattr(path, "user.virtfs.uid"); /* now there are none at all */
    g_assert_cmpint(ask(client, NINEP_TXATTRWALK, "44s", 1, 5, ""), ==, 0);
    g_assert_cmpuint(load_le64(client->reply), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREAD, "484", 5, (uint64_t)0, 100), ==, 0);
    g_assert_cmpuint(load_le32(client->reply), ==, 0);
    client_free(client);
}

/* What others keep of a guest's files: docs/design/9p.md. */
static void check_mapped(Client *client)
{
    create(client, 1, "file", 0754);
    g_assert_cmpint(ask(client, NINEP_TGETATTR, "48", 1, ~(uint64_t)0), ==, 0);
    g_assert_cmphex(load_le32(client->reply + 21), ==, S_IFREG | 0754);
    g_assert_cmpuint(load_le32(client->reply + 25), ==, 1000);
    g_assert_cmpuint(load_le32(client->reply + 29), ==, 1234);
    g_assert_cmpint(ask(client, NINEP_TMKNOD, "4s4444", ROOT, "disk", S_IFBLK | 0660u, 8, 1, 6u),
                    ==, 0);
    g_assert_cmpint(walk(client, ROOT, 2, "disk"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TSETATTR,
                        "44444888"
                        "88",
                        2, 7u, 0600u, 5u, 7u, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
                        (uint64_t)0),
                    ==, 0);
    g_assert_cmpint(ask(client, NINEP_TGETATTR, "48", 2, ~(uint64_t)0), ==, 0);
    g_assert_cmphex(load_le32(client->reply + 21), ==, S_IFBLK | 0600);
    g_assert_cmpuint(load_le32(client->reply + 25), ==, 5);
    g_assert_cmphex(load_le64(client->reply + 41), ==, 0x801);
    g_assert_cmpint(ask(client, NINEP_TSYMLINK, "4ss4", ROOT, "link", "/else/where", 0), ==, 0);
    g_assert_cmphex(client->reply[0], ==, NINEP_QID_LINK);
    g_assert_cmpint(walk(client, ROOT, 3, "link"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TREADLINK, "4", 3), ==, 0);
    g_assert_cmpmem(client->reply + 2, 11, "/else/where", 11);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, "d", 01777u, 3u), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TRENAMEAT, "4s4s", ROOT, "disk", ROOT, "moved"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TGETATTR, "48", 2, ~(uint64_t)0), ==, 0);
    g_assert_cmphex(load_le32(client->reply + 21), ==, S_IFBLK | 0600);
}

static void check_host_mode(const Client *client, const char *name, unsigned mode)
{
    g_autofree char *path = host_path(client, name);
    struct stat stat;

    g_assert_cmpint(lstat(path, &stat), ==, 0);
    g_assert_cmphex(stat.st_mode, ==, mode);
}

static void test_mapped_xattr(void)
{
    Client *client = mounted("mapped");
    g_autofree char *path = host_path(client, "moved"), *probe = host_path(client, "p");
    uint8_t value[8];

    host_write(client, "p", "");
    if (setxattr(probe, "user.probe", "x", 1, 0) != 0) {
        g_test_skip("the temporary folder's file system has no attributes");
        client_free(client);
        return;
    }
    check_mapped(client);
    check_host_mode(client, "file", S_IFREG | 0600);
    check_host_mode(client, "moved", S_IFREG | 0600);
    check_host_mode(client, "link", S_IFREG | 0600);
    check_host_mode(client, "d", S_IFDIR | 0700);
    g_assert_cmpint(getxattr(path, "user.virtfs.uid", value, 8), ==, 4);
    g_assert_cmpuint(load_le32(value), ==, 5);
    g_assert_cmpint(getxattr(path, "user.virtfs.mode", value, 8), ==, 4);
    g_assert_cmphex(load_le32(value), ==, S_IFBLK | 0600);
    g_assert_cmpint(getxattr(path, "user.virtfs.rdev", value, 8), ==, 8);
    g_assert_cmphex(load_le64(value), ==, 0x801);
    client_free(client);
}

static void test_mapped_file(void)
{
    Client *client = client_new(DRIVE_MMIO, "mapped-file", "fmode", "0640");
    g_autofree char *text = NULL;

    attach(client);
    check_mapped(client);
    check_host_mode(client, "moved", S_IFREG | 0640);
    text = host_read(client, ".virtfs_metadata/moved");
    g_assert_cmpstr(text, ==, "virtfs.uid=5\nvirtfs.gid=7\nvirtfs.mode=24960\nvirtfs.rdev=2049\n");
    g_assert_false(host_has(client, ".virtfs_metadata/disk"));
    g_assert_cmpint(walk(client, ROOT, 9, ".virtfs_metadata"), ==, -ENOENT);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, ".virtfs_metadata", 0700u, 0), ==,
                    -EINVAL);
    /* A folder with nothing but metadata is empty. */
    g_assert_cmpint(walk(client, ROOT, 8, "d"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", 8, "in", 0700u, 0), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", 8, "in", 0x200u), ==, 0);
    g_assert_true(host_has(client, "d/.virtfs_metadata"));
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", ROOT, "d", 0x200u), ==, 0);
    client_free(client);
}

static void test_read_only(void)
{
    Client *client = client_new(DRIVE_MMIO, "none", "readonly", "on");

    host_write(client, "file", "x");
    attach(client);
    g_assert_cmpint(walk(client, ROOT, 1, "file"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 2u), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 01000u), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", ROOT, "d", 0700u, 0), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TUNLINKAT, "4s4", ROOT, "file", 0), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TRENAMEAT, "4s4s", ROOT, "file", ROOT, "x"), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TLINK, "44s", ROOT, 1, "hard"), ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TSETATTR,
                        "444448"
                        "8888",
                        1, 1u, 0600u, 0, 0, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
                        (uint64_t)0),
                    ==, -EROFS);
    g_assert_cmpint(ask(client, NINEP_TREMOVE, "4", 1), ==, -EROFS);
    g_assert_true(host_has(client, "file"));
    client_free(client);
}

static void test_locks(void)
{
    Client *client = mounted("none");

    create(client, 1, "file", 0600);
    g_assert_cmpint(
        ask(client, NINEP_TLOCK, "414884s", 1, 1u, 0, (uint64_t)0, (uint64_t)10, 77u, "me"), ==, 0);
    g_assert_cmpuint(client->reply[0], ==, 0);
    g_assert_cmpint(
        ask(client, NINEP_TGETLOCK, "41884s", 1, 1u, (uint64_t)0, (uint64_t)10, 77u, "me"), ==, 0);
    g_assert_cmpuint(client->reply[0], ==, 2); /* nobody is in the way */
    g_assert_cmpint(
        ask(client, NINEP_TLOCK, "414884s", 1, 9u, 0, (uint64_t)0, (uint64_t)10, 77u, "me"), ==,
        -EINVAL);
    client_free(client);
}

/* Flushes and resets while messages are under way. */
static void test_flush(void)
{
    Client *client = mounted("none");
    Driver *driver = client->driver;
    uint8_t *ram = bench_ram(driver->bench, REQUEST);
    const Buffer read[] = { { REQUEST, 23, false }, { REPLY, ROOM, true } };
    const Buffer flush[] = { { REQUEST + 64, 9, false }, { REPLY + ROOM, 64, true } };
    unsigned first, second;

    host_write(client, "file", "x");
    g_assert_cmpint(walk(client, ROOT, 1, "file"), ==, 0);
    g_assert_cmpint(ask(client, NINEP_TLOPEN, "44", 1, 0), ==, 0);
    for (unsigned i = 0; i < 200; i++) {
        store_le32(ram, 23);
        ram[4] = NINEP_TREAD;
        store_le16(ram + 5, 5);
        store_le32(ram + 7, 1);
        store_le64(ram + 11, 0);
        store_le32(ram + 19, 1);
        memcpy(ram + 64, "\x09\0\0\0\x6c\6\0\5\0", 9);
        driver_add(driver, 0, read, 2);
        driver_add(driver, 0, flush, 2);
        driver_kick(driver, 0);
        first = wait_used(driver);
        second = wait_used(driver);
        g_assert_true(first == 0 || first == 12); /* its answer, or none */
        g_assert_cmpuint(second, ==, 7);
        g_assert_cmpuint(bench_ram(driver->bench, REPLY + ROOM)[4], ==, NINEP_TFLUSH + 1);
    }
    driver_add(driver, 0, read, 2);
    driver_kick(driver, 0);
    driver_set_status(driver, 0);
    driver_start(driver, 0, 1);
    attach(client);
    client_free(client);
}

/* What does not fit, ends early, or lies about itself. */
static void test_bad_messages(void)
{
    Client *client = mounted("none");
    Driver *driver = client->driver;
    uint8_t *ram = bench_ram(driver->bench, REQUEST);
    const Buffer small[] = { { REQUEST, 11, false }, { REPLY, 9, true } };
    const Buffer cut[] = { { REQUEST, 5, false }, { REPLY, ROOM, true } };

    for (unsigned type = 0; type < 256; type++) {
        if (type != NINEP_TVERSION) {
            memset(ram, 0, 16);
            store_le32(ram, NINEP_HEADER);
            ram[4] = (uint8_t)type;
            exchange(client, load_le32(ram) ? type : 0, NINEP_HEADER); /* any answer */
        }
    }
    g_assert_cmpint(ask(client, 200, ""), ==, -EOPNOTSUPP);
    store_le32(ram, 100); /* more than there is */
    ram[4] = NINEP_TGETATTR;
    g_assert_cmpint(exchange(client, NINEP_TGETATTR, 20), ==, -EINVAL);
    g_assert_cmpint(ask(client, NINEP_TWALK, "4422", ROOT, 1, 1, 0xffffu), ==, -EINVAL);
    g_assert_cmpint(ask_write(client, ROOT, 0, "", 0), ==, -EINVAL);
    /* No room for the answer. */
    store_le32(ram, 11);
    ram[4] = NINEP_TSTATFS;
    store_le32(ram + 7, ROOT);
    driver_add(driver, 0, small, 2);
    driver_kick(driver, 0);
    g_assert_cmpuint(wait_used(driver), ==, 0);
    driver_add(driver, 0, cut, 2);
    driver_kick(driver, 0);
    g_assert_cmphex(driver_status(driver) & 64, ==, 64);
    client_free(client);
}

static void test_saving(void)
{
    Client *client = client_new(DRIVE_MMIO, "none", NULL, NULL);
    GError *error = NULL;

    g_assert_true(machine_may_save(client->driver->bench->machine, &error));
    attach(client);
    g_assert_false(machine_may_save(client->driver->bench->machine, &error));
    g_assert_nonnull(strstr(error->message, "'tag' mounted"));
    g_error_free(error);
    g_assert_cmpint(clunk(client, ROOT), ==, 0);
    g_assert_true(machine_may_save(client->driver->bench->machine, NULL));
    client_free(client);
}

static void test_options(void)
{
    static const struct {
        const char *driver, *path, *model, *fmode, *message;
    } wrong[] = {
        { "local", NULL, "none", NULL, "path=FOLDER" },
        { "local", "/", NULL, NULL, "security_model is missing" },
        { "local", "/", "wrong", NULL, "wrong" },
        { "local", "/does-not-exist", "none", NULL, "cannot share" },
        { "local", "/", "none", "0600", "mapped security models only" },
        { "local", "/", "mapped", "9", "octal" },
        { "proxy", "/", "none", NULL, "use local" },
    };
    Bench *bench = bench_new(false);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);
        const char *pairs[][2] = { { "path", wrong[i].path },
                                   { "security_model", wrong[i].model },
                                   { "fmode", wrong[i].fmode } };
        GError *error = NULL;

        for (size_t k = 0; k < G_N_ELEMENTS(pairs); k++) {
            if (pairs[k][1]) {
                g_hash_table_insert(options, (void *)pairs[k][0], (void *)pairs[k][1]);
            }
        }
        g_assert_null(fsdev_new(bench->machine, "fs", wrong[i].driver, options, &error));
        g_assert_nonnull(strstr(error->message, wrong[i].message));
        g_error_free(error);
    }
    bench_free(bench);
}

/* More folders than descriptors: those of what nobody uses are closed, and found again. */
static void test_many_fids(void)
{
    enum { FILES = 2000, LIMIT = 300 };
    Client *client = mounted("none");
    g_autoptr(GPtrArray) hogs = g_ptr_array_new();
    int last;

    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("d%u", i), *path = host_path(client, name);

        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
        g_assert_cmpint(walk(client, ROOT, i + 1, name), ==, 0);
        if (i == LIMIT) { /* take all that is left */
            while ((last = dup(2)) >= 0) {
                g_ptr_array_add(hogs, GINT_TO_POINTER(last));
            }
        }
    }
    g_assert_cmpint(ask(client, NINEP_TMKDIR, "4s44", 1, "first", 0700u, 0), ==, 0);
    for (unsigned i = 0; i < hogs->len; i++) {
        close(GPOINTER_TO_INT(hogs->pdata[i]));
    }
    g_assert_true(host_has(client, "d0/first"));
    client_free(client);
}

int main(int argc, char **argv)
{
    const struct rlimit few = { 1024, 1024 };

    setrlimit(RLIMIT_NOFILE, &few);
    g_test_init(&argc, &argv, NULL);
    test_each_transport("9p", test_read);
    g_test_add_func("/virtio-9p/version", test_version);
    g_test_add_func("/virtio-9p/walk", test_walk);
    g_test_add_func("/virtio-9p/escape", test_escape);
    g_test_add_func("/virtio-9p/files", test_files);
    g_test_add_func("/virtio-9p/names", test_names);
    g_test_add_func("/virtio-9p/readdir", test_readdir);
    g_test_add_func("/virtio-9p/xattr", test_xattr);
    g_test_add_func("/virtio-9p/mapped-xattr", test_mapped_xattr);
    g_test_add_func("/virtio-9p/mapped-file", test_mapped_file);
    g_test_add_func("/virtio-9p/read-only", test_read_only);
    g_test_add_func("/virtio-9p/locks", test_locks);
    g_test_add_func("/virtio-9p/flush", test_flush);
    g_test_add_func("/virtio-9p/bad-messages", test_bad_messages);
    g_test_add_func("/virtio-9p/saving", test_saving);
    g_test_add_func("/virtio-9p/options", test_options);
    g_test_add_func("/virtio-9p/many-fids", test_many_fids);
    return g_test_run();
}
