/* SPDX-License-Identifier: MIT */
/*
 * `kaso FILE`: from what the file is to the options that run it. What the user has given stays as it is; what was chosen is told
 * with the command line that does the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/audiodev-open.h"
#include "base/error.h"
#include "main/handlers.h"
#include "main/look.h"
#include "ui/viewer.h"

enum { MIB_MIN = 512, MIB_MAX = 4096, VCPUS_MAX = 4, SSH_PORT = 2222, SSH_PORTS = 100 };

typedef struct {
    Setup *setup;
    GPtrArray *words; /* char *: what was chosen, as words of a command line */
    const char *system;
    bool arm, window, failed;
    char *how; /* the guest's processors run, for the first line; NULL: as the user says */
    GError **error;
} Chooser;

static bool is_given(const Setup *setup, const char *name)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        if (strcmp(g_array_index(setup->given, GivenOption, i).option->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Unless one of these was given; NULL-terminated names, the first is the option. */
static void choose(Chooser *chooser, const char *argument, const char *option, ...)
{
    va_list names;
    bool given = is_given(chooser->setup, option);

    va_start(names, option);
    for (const char *name; (name = va_arg(names, const char *));) {
        given |= is_given(chooser->setup, name);
    }
    va_end(names);
    if (given || chooser->failed) {
        return;
    }
    g_ptr_array_add(chooser->words, g_strconcat("-", option, NULL));
    if (argument) {
        g_ptr_array_add(chooser->words, g_strdup(argument));
    }
    chooser->failed = !setup_add_option(chooser->setup, option, argument, chooser->error);
}

/* Devices may be given any number of times. */
static void choose_device(Chooser *chooser, const char *type)
{
    if (!chooser->failed && device_type_find(type)) {
        g_ptr_array_add(chooser->words, g_strdup("-device"));
        g_ptr_array_add(chooser->words, g_strdup(type));
        chooser->failed = !setup_add_option(chooser->setup, "device", type, chooser->error);
    }
}

/* Whether the host's processor can run guests itself. Without that a /dev/kvm is an imitation, which lacks much and is slow. */
static bool processor_runs_guests(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL) &&
           g_regex_match_simple("^flags\\s*:.*\\s(svm|vmx)(\\s|$)", text, G_REGEX_MULTILINE, 0);
}

static void choose_accelerator(Chooser *chooser)
{
    int fd = chooser->arm ? -1 : open("/dev/kvm", O_RDWR | O_CLOEXEC), reason = errno;

    if (fd >= 0) {
        close(fd);
    }
    if (is_given(chooser->setup, "accel") || is_given(chooser->setup, "enable-kvm")) {
        return;
    }
    if (chooser->arm) {
        chooser->how = g_strdup("translated: its processor is another than this host's");
    } else if (fd < 0) {
        chooser->how = g_strdup_printf("translated: /dev/kvm: %s", g_strerror(reason));
    } else if (!processor_runs_guests()) {
        chooser->how =
            g_strdup("translated: /dev/kvm is there, but this host's processor has neither svm nor "
                     "vmx (-accel kvm tries it)");
    } else {
        chooser->how = g_strdup("with KVM");
        choose(chooser, "kvm:tcg", "accel", NULL);
        choose(chooser, "max", "cpu", NULL);
    }
}

/* A quarter of the host's, within reason. */
static void choose_sizes(Chooser *chooser)
{
    uint64_t host_mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
    unsigned mib = (unsigned)CLAMP(host_mib / 4, MIB_MIN, MIB_MAX) / 256 * 256;
    g_autofree char *memory = g_strdup_printf("%u", mib);
    g_autofree char *vcpus =
        g_strdup_printf("%ld", CLAMP(sysconf(_SC_NPROCESSORS_ONLN), 1, VCPUS_MAX));

    choose(chooser, memory, "m", NULL);
    choose(chooser, vcpus, "smp", NULL);
}

/* Whether a server of ours could have this port of the loopback. */
static bool port_is_free(unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    bool is_free;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    is_free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_free;
}

static void choose_network(Chooser *chooser)
{
    unsigned port = SSH_PORT;
    g_autofree char *nic = NULL;

    while (port < SSH_PORT + SSH_PORTS && !port_is_free(port)) {
        port++;
    }
    nic = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    choose(chooser, nic, "nic", "net", "netdev", NULL);
}

/* A comma of a file's name is doubled among options. */
static char *escape(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);

    return g_strjoinv(",,", parts);
}

static void choose_image(Chooser *chooser, const Look *look, const char *path)
{
    g_autofree char *escaped = escape(path);
    const char *interface = chooser->arm || look->linux_system ? "virtio" : "ide";
    g_autofree char *drive =
        look->kind == LOOK_DISC
            ? g_strdup_printf("file=%s,media=cdrom,format=raw%s", escaped,
                              chooser->arm ? ",if=virtio,readonly=on" : "")
            : g_strdup_printf("file=%s,format=%s,if=%s", escaped, look->format, interface);

    /* Besides what was given: it is the file that is to run. */
    g_ptr_array_add(chooser->words, g_strdup("-drive"));
    g_ptr_array_add(chooser->words, g_strdup(drive));
    chooser->failed |= !setup_add_option(chooser->setup, "drive", drive, chooser->error);
    if (look->kind == LOOK_DISC && !chooser->arm) {
        choose(chooser, "d", "boot", NULL);
    }
}

/* Of Debian's packages. */
static void choose_efi(Chooser *chooser)
{
    choose(chooser, chooser->arm ? "QEMU_EFI.fd" : "/usr/share/ovmf/OVMF.fd", "bios", "pflash",
           NULL);
}

static void choose_display(Chooser *chooser, bool serial_alone)
{
    Setup *setup = chooser->setup;
    const Viewer *const *it;

    if (serial_alone) {
        choose(chooser, NULL, "nographic", "display", "vnc", "sdl", NULL);
        return;
    }
    REGISTRY_FOREACH(viewers, it) {
        chooser->window |= (*it)->available && (*it)->available();
    }
    if (chooser->window) {
        choose(chooser, "sdl", "display", "vnc", "nographic", "sdl", NULL);
    } else {
        choose(chooser, "127.0.0.1:0,to=99", "vnc", "display", "nographic", "sdl", NULL);
        if (viewers_wanted(setup)) {
            choose(chooser, "mon:stdio", "serial", "monitor", "nographic", NULL);
        }
    }
    if (!viewers_wanted(setup) || is_given(setup, "device")) {
        return;
    }
    if (chooser->arm) {
        choose_device(chooser, "virtio-gpu-pci");
        choose_device(chooser, "virtio-keyboard-pci");
        choose_device(chooser, "virtio-tablet-pci");
    } else {
        choose_device(chooser, "qemu-xhci");
        choose_device(chooser, "usb-tablet");
    }
}

/* Where the host's sound answers. */
static void choose_sound(Chooser *chooser)
{
    const AudiodevType *type = audiodev_type_available();
    g_autofree char *sound = type ? g_strconcat(type->name, ",model=hda", NULL) : NULL;

    if (sound) {
        choose(chooser, sound, "audio", "audiodev", NULL);
    }
}

static void choose_code(Chooser *chooser, const Look *look, const char *path)
{
    switch (look->kind) {
    case LOOK_KERNEL:
        choose(chooser, path, "kernel", NULL);
        choose(chooser, chooser->arm ? "console=ttyAMA0" : "console=ttyS0", "append", NULL);
        break;
    case LOOK_PROGRAM: /* EFI's firmware starts what -kernel gives it */
        choose_efi(chooser);
        choose(chooser, path, "kernel", NULL);
        break;
    default:
        choose(chooser, path, "bios", NULL);
    }
}

static void choose_all(Chooser *chooser, const Look *look, const char *path)
{
    bool code = look->kind != LOOK_DISK && look->kind != LOOK_DISC;
    unsigned arm = LOOK_AARCH64 | LOOK_ARM, of = code ? look->processors : look->efi;

    chooser->arm = !look->bios && of & arm && !(of & (LOOK_X86_64 | LOOK_I386));
    chooser->system = chooser->arm ? (of & LOOK_AARCH64 ? "aarch64" : "arm")
                      : code       ? (of & LOOK_I386 ? "i386" : "x86_64")
                                   : (of == LOOK_I386 ? "i386" : "x86_64");
    chooser->setup->target = target_find(chooser->system);
    choose(chooser, chooser->arm ? "virt" : "pc", "machine", "M", NULL);
    choose_accelerator(chooser);
    choose_sizes(chooser);
    if (code) {
        choose_code(chooser, look, path);
    } else {
        if (!look->bios && look->efi) {
            choose_efi(chooser);
        }
        choose_image(chooser, look, path);
    }
    choose_network(chooser);
    choose_display(chooser, look->kind == LOOK_KERNEL || look->kind == LOOK_FIRMWARE);
    if (chooser->window) {
        choose_sound(chooser);
    }
}

/* Words that a shell reads back as they are. */
static void append_words(GString *line, const GPtrArray *words)
{
    for (guint i = 0; i < words->len; i++) {
        const char *word = words->pdata[i];
        bool plain =
            word[0] && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_=,.:/+@%")];
        g_autofree char *quoted = plain ? g_strdup(word) : g_shell_quote(word);

        g_string_append_printf(line, " %s", quoted);
    }
}

static void append_given(GString *line, const Setup *setup, unsigned count)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < count; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);

        if (strcmp(given->option->name, "print-command") != 0) {
            g_ptr_array_add(words, g_strconcat("-", given->option->name, NULL));
            if (given->argument) {
                g_ptr_array_add(words, g_strdup(given->argument));
            }
        }
    }
    append_words(line, words);
}

bool option_print_command(Setup *setup, const char *argument, GError **error)
{
    return setup->print_command = true;
}

bool one_argument_choose(Setup *setup, GError **error)
{
    const char *path = setup->file;
    unsigned given = setup->given->len;
    Chooser chooser = { .setup = setup, .error = error };
    g_autoptr(GString) line = NULL;
    Look look;

    /* kaso-system-NAME and -M say what the machine is: then the file is its first disk. */
    if (!path || setup->target || setup->machine_name) {
        return !path || setup_add_option(setup, "hda", path, error);
    }
    if (!look_at(path, &look, error)) {
        return false;
    }
    chooser.words = g_ptr_array_new_with_free_func(g_free);
    choose_all(&chooser, &look, path);
    line = g_string_new(NULL);
    g_string_append_printf(line, "kaso-system-%s", chooser.system);
    append_given(line, setup, given);
    append_words(line, chooser.words);
    g_ptr_array_unref(chooser.words);
    if (chooser.failed) {
        g_free(chooser.how);
        return false;
    }
    if (setup->print_command) {
        printf("%s\n", line->str);
        help_done();
    }
    fprintf(stderr, "kaso: %s is %s%s%s\nkaso: %s\n", path, look.what, chooser.how ? "; " : "",
            chooser.how ? chooser.how : "", line->str);
    g_free(chooser.how);
    return true;
}
