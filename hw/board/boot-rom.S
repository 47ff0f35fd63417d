/* SPDX-License-Identifier: MIT */
/*
 * The option ROM that starts what -kernel gives: firmware finds it by its boot entry vector (BIOS Boot
 * Specification 1.01, section 3.3), fw_cfg has the images. It is code of the guest, so 16 bit, and position-independent: it
 * runs wherever firmware copies it, and all its addresses are offsets in its segment. pc-kernel.c fills `parameters`
 * (BootRomParameters) and the checksum.
 */
        .section .rodata
        .code16
        .global boot_rom, boot_rom_end, boot_rom_parameters
        .balign 512
boot_rom:
        .word   0xaa55
        .byte   (boot_rom_end - boot_rom) / 512
        jmp     initialize
        .org    boot_rom + 0x18
        .word   0                               /* no PCI data: any machine may run it */
        .word   plug_and_play - boot_rom
        .org    boot_rom + 0x20
plug_and_play:
        .ascii  "$PnP"
        .byte   1, 2                            /* revision, length in units of 16 */
        .word   0                               /* no further header */
        .byte   0
        .byte   0                               /* checksum, by pc-kernel.c */
        .long   0
        .word   maker - boot_rom
        .word   product - boot_rom
        .byte   0, 0, 0                         /* device type */
        .byte   0xe0                            /* may be a boot device; needs no INT 19h */
        .word   0, 0
        .word   boot - boot_rom                 /* boot entry vector */
        .word   0, 0
        .org    boot_rom + 0x40
boot_rom_parameters:
        .fill   132, 1, 0
maker:  .asciz  "Kaso"
product:
        .asciz  "kernel of the command line"
        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff              /* 0x08: code, flat, 32 bits */
        .quad   0x00cf93000000ffff              /* 0x10: data */
gdt_end:

/* Offsets in BootRomParameters. */
#define PARAMETER(n)    (boot_rom_parameters - boot_rom + (n))
#define PROTECTED       PARAMETER(0)            /* byte: enter in protected mode */
#define HAS_DMA         PARAMETER(1)            /* byte */
#define ITEM_COUNT      PARAMETER(2)            /* word */
#define ENTRY           PARAMETER(4)            /* linear address, or segment << 16 */
#define STACK           PARAMETER(8)            /* ESP, or the segment << 16 and SP */
#define ENTRY_EAX       PARAMETER(12)
#define ENTRY_EBX       PARAMETER(16)
#define MAP             PARAMETER(20)           /* where the memory map goes, 0: it is not wanted */
#define MAP_COUNT       PARAMETER(24)           /* where its size goes */
#define MAP_UNIT        PARAMETER(28)           /* word: what an entry counts as */
#define MAP_MOST        PARAMETER(30)           /* word: how many entries fit */
#define MAP_UPPER       PARAMETER(32)           /* where the KiB of RAM from 1 MiB on go, 0: they are not wanted */
#define ITEMS           PARAMETER(36)           /* 12 bytes each: address, size, key, 0 */

initialize:
        movw    $0x20, %ax                      /* a boot device is there */
        lretw

/* Real mode, called as a boot sector is. It does not return. */
boot:
        cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ss
        movl    $0x7c00, %esp
        movw    %cs, %ax
        movw    %ax, %ds
        movw    $ITEMS, %bx
        movw    ITEM_COUNT, %cx
1:      jcxz    2f
        pushw   %cx
        call    load
        popw    %cx
        addw    $12, %bx
        decw    %cx
        jmp     1b
2:      cmpl    $0, MAP
        je      3f
        call    memory_map
3:      testb   $1, PROTECTED
        jnz     enter_protected

/* Linux' 16-bit entry: all segments but CS are where the setup code is (boot.rst, "Running the kernel"). */
        movl    ENTRY, %edx
        movl    STACK, %eax
        movzwl  %ax, %esp
        shrl    $16, %eax
        movw    %ax, %ss
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        pushl   %edx                            /* segment << 16, offset 0 */
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        lretw

enter_protected:
        call    load_gdt
        movl    ENTRY_EAX, %eax
        movl    ENTRY_EBX, %ebx
        movl    ENTRY, %edx
        movl    STACK, %ebp
        movl    %cr0, %ecx
        orb     $1, %cl
        movl    %ecx, %cr0
        movw    $0x10, %cx
        movw    %cx, %ds
        movw    %cx, %es
        movw    %cx, %fs
        movw    %cx, %gs
        movw    %cx, %ss
        movl    %ebp, %esp
        pushl   $0x08
        pushl   %edx
        xorl    %ebp, %ebp
        xorl    %esi, %esi
        xorl    %edi, %edi
        lretl

/* Loads the item at DS:BX. */
load:
        testb   $1, HAS_DMA
        jz      load_by_port
        subw    $16, %sp                        /* the descriptor: control, length, address; all big-endian */
        movw    %sp, %bp
        movzwl  8(%bx), %eax
        shll    $16, %eax
        orw     $0x000a, %ax                    /* select and read */
        bswapl  %eax
        movl    %eax, (%bp)
        movl    4(%bx), %eax
        bswapl  %eax
        movl    %eax, 4(%bp)
        movl    $0, 8(%bp)
        movl    (%bx), %eax
        bswapl  %eax
        movl    %eax, 12(%bp)
        xorl    %eax, %eax
        movw    $0x514, %dx
        outl    %eax, %dx
        movzwl  %sp, %eax
        bswapl  %eax
        movw    $0x518, %dx
        outl    %eax, %dx
1:      movl    (%bp), %eax                     /* zero when it is done, bit 24 (in this order) when it failed */
        testl   $0xfeffffff, %eax
        jnz     1b
        testl   %eax, %eax
        jnz     stop
        addw    $16, %sp
        ret

/* By the data port, to anywhere below 4 GiB: ES keeps a flat limit from a visit to protected mode. */
load_by_port:
        pushw   %es
        call    load_gdt
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $0x10, %dx
        movw    %dx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        movw    8(%bx), %ax
        movw    $0x510, %dx
        outw    %ax, %dx
        incw    %dx
        movl    (%bx), %edi
        movl    4(%bx), %ecx
        .byte   0x67, 0xf3, 0x6c                /* REP INSB to ES:EDI */
        xorw    %ax, %ax
        movw    %ax, %es                        /* base 0 again, whatever the limit */
        popw    %es
        ret

stop:   cli
        hlt
        jmp     stop

load_gdt:
        xorl    %eax, %eax
        movw    %cs, %ax
        shll    $4, %eax
        addl    $(gdt - boot_rom), %eax
        pushl   %eax
        pushw   $(gdt_end - gdt - 1)
        movw    %sp, %bp
        lgdtl   (%bp)
        addw    $6, %sp
        ret

/* What firmware says of memory (INT 15h, E820h), to MAP: entries are 24 bytes apart. */
memory_map:
        movl    MAP, %eax
        movl    %eax, %edi
        andl    $15, %edi
        shrl    $4, %eax
        movw    %ax, %es
        xorl    %ebx, %ebx
        xorw    %bp, %bp                        /* entries */
1:      movl    $0xe820, %eax
        movl    $20, %ecx
        movl    $0x534d4150, %edx               /* SMAP */
        pushw   %bp
        pushw   %di
        int     $0x15
        popw    %di
        popw    %bp
        jc      2f
        cmpl    $0x534d4150, %eax
        jne     2f
        incw    %bp
        addw    $24, %di
        testl   %ebx, %ebx
        jz      2f
        cmpw    MAP_MOST, %bp
        jb      1b
2:      cmpl    $0, MAP_UPPER
        je      3f
        call    upper_memory
3:      movzwl  %bp, %eax
        movzwl  MAP_UNIT, %ecx
        mull    %ecx
        movl    MAP_COUNT, %edi
        call    store
        cli
        ret

/* Of BP entries at ES:(MAP & 15), the one at 1 MiB: firmware's own tables are behind it. */
upper_memory:
        movl    MAP, %ebx
        andl    $15, %ebx
        movw    %bp, %cx
1:      jcxz    3f
        cmpl    $0x100000, %es:(%bx)
        jne     2f
        cmpl    $0, %es:4(%bx)
        jne     2f
        movl    %es:8(%bx), %eax
        shrl    $10, %eax
        movl    MAP_UPPER, %edi
        pushw   %es
        call    store
        popw    %es
2:      addw    $24, %bx
        decw    %cx
        jmp     1b
3:      ret

/* EAX to the address EDI, below 1 MiB. */
store:  movl    %edi, %edx
        shrl    $4, %edx
        movw    %dx, %es
        andw    $15, %di
        movl    %eax, %es:(%di)
        ret
        .balign 512
boot_rom_end:
        .section .note.GNU-stack, "", @progbits
