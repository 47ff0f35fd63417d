/* SPDX-License-Identifier: MIT */
/* The groups of options that tools ask for, by the names that they know. */
#include "machine/option-info.h"

#include <string.h>

#include "main/handlers.h"

/* What is not built is not here: who finds a group uses it. */
#define THROTTLE_OF(what)                                                                          \
    "throttling." what "=N,throttling." what "-max=N,throttling." what "-max-length=N,"
#define THROTTLE(what)                                                                             \
    THROTTLE_OF(what "-total") THROTTLE_OF(what "-read") THROTTLE_OF(what "-write")

static const struct {
    const char *group, *option, *more;
} groups[] = {
    { "accel", "accel" },
    { "action", "action" },
    { "add-fd", "add-fd" },
    { "boot-opts", "boot", "splash=FILE" },
    { "chardev", "chardev", "logfile=FILE,logappend=on|off,logtimestamp=on|off" },
    { "device", "device" },
    { "drive", "drive",
      "active=on|off,auto-read-only=on|off,bus=N,cache.direct=on|off,"
      "cache.no-flush=on|off,cache.writeback=on|off,driver=D,force-share=on|off,"
      "node-name=NAME,read-only=on|off,stats-account-failed=on|off,"
      "stats-account-invalid=on|off,unit=N," THROTTLE("bps")
          THROTTLE("iops") "throttling.group=NAME,throttling.iops-size=N" },
    { "fsdev", "fsdev" },
    { "fw_cfg", "fw_cfg" },
    { "global", "global", "driver=D,property=P,value=V" },
    { "machine", "machine",
      "append=TEXT,aux-ram-share=on|off,boot=ORDER,dtb=FILE,dump-guest-core=on|off,firmware=FILE,"
      "graphics=on|off,initrd=FILE,kernel=FILE,mem-merge=on|off,memory=SIZE,memory-backend=ID,"
      "smp=N,suppress-vmdesc=on|off,usb=on|off" },
    { "memory", "m" },
    { "mon", "mon" },
    { "msg", "msg" },
    { "name", "name", "guest=NAME,debug-threads=on|off" },
    { "net", "net" },
    { "netdev", "netdev" },
    { "nic", "nic" },
    { "object", "object" },
    { "overcommit", "overcommit" },
    { "rtc", "rtc" },
    { "run-with", "run-with", "async-teardown=on|off" },
    { "sandbox", "sandbox", "enable=on|off" },
    { "smbios", "smbios" },
    { "smp-opts", "smp", "books=N,drawers=N,modules=N" },
    { "trace", "trace", "events=FILE" },
    { "virtfs", "virtfs" },
    { "vnc", "vnc",
      "vnc=ADDRESS,audiodev=ID,connections=N,display=ID,head=N,ipv4=on|off,"
      "ipv6=on|off,key-delay-ms=N,lock-key-sync=on|off,lossy=on|off,"
      "non-adaptive=on|off,password=on|off,password-secret=ID,power-control=on|off,"
      "reverse=on|off,sasl=on|off,sasl-authz=ID,share=POLICY,tls-authz=ID,"
      "tls-creds=ID,to=N,websocket=PORT" },
};

const OptionInfo *option_groups(Setup *setup)
{
    OptionInfo *infos = setup->option_infos = g_new0(OptionInfo, G_N_ELEMENTS(groups) + 1);

    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        infos[i].group = groups[i].group;
        infos[i].more = groups[i].more;
        for (const Option *option = option_table; option->name; option++) {
            if (strcmp(option->name, groups[i].option) == 0) {
                infos[i].arguments = option->argument;
            }
        }
    }
    return infos;
}
