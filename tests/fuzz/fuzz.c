/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "\\u" could spell any of the others in JSON. */
static const char unsafe[] =
    "\\u .. exec tcp udp socket unix host inet vsock nbd http ftp iscsi ssh fd pty pipe stdio tap "
    "bridge rbd nfs vnc msmouse dgram stream smb vhost";

bool fuzz_is_unsafe(const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_auto(GStrv) words = g_strsplit(unsafe, " ", -1);

    for (char **word = words; *word; word++) {
        if (strstr(lower, *word)) {
            return true;
        }
    }
    for (const char *slash = lower; (slash = strchr(slash, '/')); slash++) {
        if (!g_ascii_isdigit(slash[1])) { /* "x /4xw": no path */
            return true;
        }
    }
    return false;
}

static void remove_folder(void)
{
    const char *folder = g_getenv("KASO_FUZZ_FOLDER");
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        remove(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    rmdir(folder);
}

void fuzz_enter_folder(void)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-fuzz-XXXXXX", NULL);

    g_assert_nonnull(folder);
    g_setenv("KASO_FUZZ_FOLDER", folder, true);
    atexit(remove_folder);
    if (chdir(folder) != 0 || (!getenv("FUZZ_VERBOSE") && !freopen("/dev/null", "w", stdout))) {
        exit(1);
    }
}
