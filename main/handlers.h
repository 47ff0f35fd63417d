/* SPDX-License-Identifier: MIT */
/* The handlers that the option table names, by the file that has them. */
#ifndef MAIN_HANDLERS_H
#define MAIN_HANDLERS_H

#include "main/setup.h"

/* options-machine.c */
OptionHandler option_machine, option_cpu, option_accel, option_enable_kvm, option_perfmap, option_one_insn, option_compat, option_no_fd_bootchk, option_m, option_smp;
OptionHandler option_boot, option_rtc, option_seed, option_icount, option_name, option_uuid, option_global, option_mem_path, option_numa;
OptionHandler option_mem_prealloc;

/* options-firmware.c */
OptionHandler option_smbios, option_acpitable, option_fw_cfg, option_option_rom;

/* option-set.c */
OptionHandler option_set;

/* options-action.c */
OptionHandler option_action, option_watchdog_action;

/* options-simple.c */
OptionHandler option_kernel, option_initrd, option_append, option_dtb, option_bios;
OptionHandler option_incoming, option_loadvm;
OptionHandler option_start_paused, option_no_reboot, option_no_shutdown, option_nodefaults;
OptionHandler option_add_fd, option_snapshot, option_firmware_folder, option_accepted, option_accepted_argument, option_no_acpi, option_overcommit, option_realtime,
    option_no_hpet;
OptionHandler option_log, option_log_file, option_log_filter, option_trace, option_echr;
OptionHandler option_message, option_pid_file, option_daemonize, option_sandbox, option_chroot;
OptionHandler option_run_as, option_run_with, option_nographic, option_vga;
OptionHandler option_readconfig, option_help, option_version;

/* options-debug.c */
OptionHandler option_boot_diagnosis, option_symbols;

/* options-usb.c */
OptionHandler option_usb, option_usbdevice;

/* objects.c */
OptionHandler option_object, option_device;

/* consoles.c */
OptionHandler option_chardev, option_serial, option_debugcon, option_parallel, option_monitor, option_qmp;
OptionHandler option_gdb, option_qmp_pretty, option_mon, option_count_serial, option_qtest, option_qtest_log;
OptionHandler option_semihosting, option_semihosting_config;

/* drives.c */
OptionHandler option_blockdev, option_drive, option_fda, option_fdb, option_hda, option_hdb, option_hdc, option_hdd;
OptionHandler option_cdrom, option_pflash;

/* one-argument.c */
OptionHandler option_print_command;

/* viewers.c */
OptionHandler option_display, option_vnc, option_sdl, option_keyboard, option_full_screen, option_alt_grab;
OptionHandler option_ctrl_grab, option_no_quit, option_show_cursor;

/* sound.c */
OptionHandler option_audiodev, option_audio;

/* folders.c */
OptionHandler option_fsdev, option_virtfs, option_virtfs_synth;

/* network.c */
OptionHandler option_netdev, option_nic, option_net;

#endif
