/* SPDX-License-Identifier: MIT */
/* kaso-img: the command line of the image tool. */
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"
#include "base/version.h"

#include <stdio.h>
#include <string.h>

static const ToolCommand *const commands[] = {
    &img_amend,   &img_bench,   &img_bitmap, &img_check,  &img_commit,
    &img_compare, &img_convert, &img_create, &img_dd,     &img_info,
    &img_map,     &img_measure, &img_rebase, &img_resize, &img_snapshot,
};

static void help(void)
{
    g_autofree char *names = block_format_names();

    printf("qemu-img version %s\n"
           "Kaso disk image utility.  Usage:\n\n"
           "  kaso-img [standard options] COMMAND [--help | command options]\n\n"
           "Standard options:\n"
           "  -h, --help\n     display this help and exit\n"
           "  -V, --version\n     display version info and exit\n\n"
           "Recognized commands (run kaso-img COMMAND --help for command-specific help):\n\n",
           version_text);
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        printf("  %s - %s\n", commands[i]->name, commands[i]->summary);
    }
    printf("\nSupported formats:%s\n", names); /* on one line: programs look for it */
}

static int unknown_command(const char *name)
{
    const char *names[ARRAY_SIZE(commands) + 1] = { NULL };
    g_autofree char *suggestion = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        names[i] = commands[i]->name;
    }
    suggestion = names_suggest(name, names);
    fprintf(stderr,
            "kaso-img: Command not found: %s%s\nTry 'kaso-img --help' for more information\n", name,
            suggestion);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "kaso-img: Not enough arguments\nTry 'kaso-img --help' for more "
                        "information\n");
        return 1;
    }
    if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
        help();
        return 0;
    }
    if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
        printf("qemu-img version %s\n", version_text);
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i]->name, argv[1])) {
            continue;
        }
        if (argc > 2 && (!strcmp(argv[2], "-h") || !strcmp(argv[2], "--help"))) {
            printf("Usage:\n  kaso-img %s %s\n\n%s.\n", argv[1], commands[i]->usage,
                   commands[i]->summary);
            return 0;
        }
        return tool_main("kaso-img", commands[i], argc - 1, argv + 1);
    }
    return unknown_command(argv[1]);
}
