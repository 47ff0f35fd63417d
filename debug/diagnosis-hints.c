/* SPDX-License-Identifier: MIT */
/* From what is seen to what is probably wrong: rules over the kernel's log, the last output, and the CPUs. */
#include <string.h>

#include "debug/diagnosis-private.h"
#include "debug/linux/dmesg.h"
#include "machine/console.h"

enum { RESETS_THAT_LOOP = 3 };

typedef struct {
    const char *text, *hint;
} Rule;

/* Of a kernel's log; the most telling first. */
static const Rule log_rules[] = {
    { "Initramfs unpacking failed", "The initial RAM disk (-initrd) is damaged, or packed in a way "
                                    "that this kernel cannot unpack" },
    { "no matching timers found", "The kernel found no timer, or no interrupt controller for it, "
                                  "in its device tree: -dtb is that of another board (info fdt)" },
    { "No interrupt controller found",
      "The kernel knows none of the interrupt controllers in its device tree: is -dtb that of "
      "another board (info fdt)" },
    { "Unable to mount root fs", "The kernel found no root file system: give -initrd, or a disk "
                                 "with root= in -append that its drivers know" },
    { "No working init found", "The root file system has no init that runs: give init=PATH in "
                               "-append, and check that it is for this processor" },
    { "Attempted to kill init",
      "The first process ended, and with it the system: its last words are in info dmesg" },
    { "Requested init ",
      "The init of -append does not run: is it in the image, and for this processor?" },
    { "invalid device tree blob",
      "The kernel cannot read its device tree: -dtb is not one, or was overwritten" },
    { "Cannot open root device", "The root device of -append (root=) does not exist in the guest: "
                                 "info dmesg lists those that do" },
    { "Waiting for root device", "The kernel waits for the root device of -append, which has not "
                                 "appeared: is there a -drive, and has the kernel its driver?" },
    { "no cpu_on method",
      "The device tree has no PSCI node that the kernel knows, so it cannot start "
      "further processors: -dtb is that of another board (info fdt)" },
    { "end Kernel panic", "The kernel has panicked; info dmesg and bt show where" },
    { "Kernel panic", "The kernel has panicked; info dmesg and bt show where" },
    { "Oops", "The kernel had an error of its own; info dmesg and bt show where" },
};

/* Of the function that a CPU is in. */
static const Rule place_rules[] = {
    { "__no_granule_support",
      "The kernel was built for pages of a size (16 or 64 KiB) that this CPU does "
      "not have: take another -cpu (max), or a kernel with pages of 4 KiB" },
};

/* Of the last line of a console. */
static const Rule output_rules[] = {
    { "No bootable device",
      "The firmware found nothing to boot: give -kernel, or a -drive with a boot sector" },
    { "No bootable option or device", "The firmware found nothing to boot: give -kernel, or a "
                                      "-drive with an EFI system partition" },
    { "Boot failed: not a bootable disk",
      "The disk has no boot sector (its last bytes are not 55 aa)" },
    { "Could not read the boot disk", "The firmware cannot read the disk it was told to boot" },
    { "Shell>", "The firmware waits at its shell: it found nothing else to boot" },
    { "=> ", "U-Boot waits at its prompt: it found nothing to boot, or a key stopped it" },
    { "grub>", "GRUB waits at its prompt: it found no configuration" },
    { "grub rescue>",
      "GRUB does not find its own files: the disk is not the one that it was installed on" },
    { "Bad Linux ARM64 Image magic", "What U-Boot was told to start is no arm64 kernel" },
    { "No bootflows", "U-Boot found nothing to boot" },
    { "BOOTP broadcast", "U-Boot found nothing to boot on disks, and asks the network" },
    { "Retry time exceeded",
      "U-Boot found nothing to boot on disks, and nobody answers on the network" },
    { "BdsDxe: failed to load", "The firmware tries one boot option after the other and can load "
                                "none: info uefi lists them (Boot0000 …)" },
    { "BdsDxe: failed to start", "A boot option was loaded and gave up: its own output tells why; "
                                 "info uefi lists all (Boot0000 …)" },
    { "Start PXE over", "The firmware found nothing to boot on disks, and asks the network" },
    { "use a kernel appropriate for your CPU",
      "The kernel is for processors with more than -cpu has, as long mode for x86-64: take another "
      "-cpu, or another kernel" },
    { "login:", "The guest waits for someone to log in" },
};

const char *diagnosis_arm_class(unsigned exception_class)
{
    switch (exception_class) {
    case 0x00:
        return "undefined instruction";
    case 0x07:
        return "floating point, which is switched off";
    case 0x15:
        return "system call";
    case 0x18:
        return "system register that it may not use";
    case 0x20:
    case 0x21:
        return "instruction from where nothing is mapped";
    case 0x22:
        return "pc not aligned";
    case 0x24:
    case 0x25:
        return "data access to where nothing is mapped";
    case 0x26:
        return "stack pointer not aligned";
    case 0x2f:
        return "SError";
    case 0x3c:
        return "breakpoint instruction";
    default:
        return "see the Arm manual for its class";
    }
}

const char *diagnosis_x86_exception(unsigned vector)
{
    static const char *const names[] = { "divide error",
                                         "debug",
                                         "NMI",
                                         "breakpoint",
                                         "overflow",
                                         "bound",
                                         "invalid opcode",
                                         "no FPU",
                                         "double fault",
                                         "coprocessor overrun",
                                         "invalid TSS",
                                         "segment not present",
                                         "stack segment",
                                         "general protection",
                                         "page fault",
                                         "reserved",
                                         "x87 floating point",
                                         "alignment",
                                         "machine check",
                                         "SIMD floating point" };

    return vector < G_N_ELEMENTS(names) ? names[vector] : "of no name";
}

void diagnosis_add_hint(Diagnosis *diagnosis, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_ptr_array_add(diagnosis->hints, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

typedef struct {
    const Rule *rule; /* the first in the table that any line met */
    char *line, *last, *command_line;
    bool any;
} LogSummary;

static void read_record(void *opaque, const LinuxLogRecord *record)
{
    static const char command_line[] = "Kernel command line: ";
    LogSummary *summary = opaque;

    summary->any = true;
    if (*record->text) {
        g_free(summary->last);
        summary->last = g_strdup(record->text);
    }
    if (g_str_has_prefix(record->text, command_line)) {
        g_free(summary->command_line);
        summary->command_line = g_strdup(record->text + sizeof command_line - 1);
    }
    for (const Rule *rule = log_rules; rule < log_rules + G_N_ELEMENTS(log_rules); rule++) {
        if (rule == summary->rule) {
            break;
        }
        if (strstr(record->text, rule->text)) {
            summary->rule = rule;
            g_free(summary->line);
            summary->line = g_strdup(record->text);
            break;
        }
    }
}

/* A kernel that runs, but writes where nobody looks. */
static void hint_console(Machine *machine, Diagnosis *diagnosis, const char *command_line)
{
    const char *wanted = machine->board ? machine->board->serial_console : NULL;
    const char *given = command_line ? strstr(command_line, "console=") : NULL;

    if (!command_line || !wanted || console_was_written(machine)) {
        return;
    }
    while (given) {
        if (g_str_has_prefix(given + strlen("console="), wanted)) {
            return;
        }
        if (!strstr(given + 1, "console=")) {
            break;
        }
        given = strstr(given + 1, "console=");
    }
    if (given) {
        diagnosis_add_hint(
            diagnosis,
            "The kernel writes to %.*s, but this board's serial port is %s: say console=%s in "
            "-append",
            (int)strcspn(given + strlen("console="), " "), given + strlen("console="), wanted,
            wanted);
    } else {
        diagnosis_add_hint(diagnosis,
                           "The kernel was told of no console: say console=%s in -append", wanted);
    }
}

static void hint_kernel(Machine *machine, Diagnosis *diagnosis)
{
    LinuxKernel *kernel = linux_kernel_known(machine);
    LogSummary summary = { 0 };

    if (!kernel) {
        return;
    }
    diagnosis->kernel = g_strndup(kernel->banner ? kernel->banner : "Linux",
                                  kernel->banner ? strcspn(kernel->banner, "(") : 5);
    g_strchomp(diagnosis->kernel);
    linux_log_foreach(kernel, read_record, &summary, NULL);
    diagnosis->kernel_log = g_strdup(summary.last);
    if (summary.rule) {
        diagnosis_add_hint(diagnosis, "%s (its log: \"%s\")", summary.rule->hint, summary.line);
    } else if (!summary.any && kernel->verified) {
        diagnosis_add_hint(diagnosis,
                           "The kernel has not logged anything: it is in its very first code");
    }
    hint_console(machine, diagnosis, summary.command_line);
    g_free(summary.line);
    g_free(summary.last);
    g_free(summary.command_line);
}

static void hint_output(Diagnosis *diagnosis)
{
    for (unsigned i = 0; diagnosis->last_output && i < G_N_ELEMENTS(output_rules); i++) {
        if (strstr(diagnosis->last_output, output_rules[i].text)) {
            diagnosis_add_hint(diagnosis, "%s", output_rules[i].hint);
            return;
        }
    }
}

static void hint_places(Diagnosis *diagnosis)
{
    for (guint i = 0; i < diagnosis->cpus->len; i++) {
        const CpuDiagnosis *cpu = diagnosis->cpus->pdata[i];

        for (unsigned k = 0; k < G_N_ELEMENTS(place_rules); k++) {
            if (g_str_has_prefix(cpu->where, place_rules[k].text)) {
                diagnosis_add_hint(diagnosis, "%s", place_rules[k].hint);
                return;
            }
        }
    }
}

void diagnosis_add_hints(Machine *machine, Diagnosis *diagnosis)
{
    if (diagnosis->resets >= RESETS_THAT_LOOP) {
        diagnosis_add_hint(
            diagnosis,
            "The guest resets itself over and over (the last time: %s): -no-reboot ends the "
            "run at the first, and "
            "-d cpu_reset,int shows what led to it",
            diagnosis->reset_reason);
    }
    if (diagnosis->triple_fault && diagnosis->resets &&
        !strcmp(diagnosis->reset_reason, "triple fault")) {
        diagnosis_add_hint(diagnosis, "%s", diagnosis->triple_fault);
    }
    hint_places(diagnosis);
    hint_kernel(machine, diagnosis);
    hint_output(diagnosis);
    diagnosis_add_boot_hints(machine, diagnosis);
}
