/* SPDX-License-Identifier: MIT */
/* The ground under bios-calls.c: a boot sector that loads the rest, software interrupts, and handlers that count. */
        .code16
        .section .boot, "ax"
        .global _start
_start: ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x7c00, %esp
        movb    %dl, boot_drive
        movb    $0x42, %ah              /* extended read of the sectors that follow */
        movw    $packet, %si
        int     $0x13
        jc      2f
        movl    $__bss_start, %edi
        movl    $_end, %ecx
        subl    %edi, %ecx
        xorb    %al, %al
        rep stosb
        calll   run
2:      cli
        hlt
        jmp     2b
        .balign 4
packet: .byte   16, 0
        .word   63, 0x7e00, 0
        .quad   1
        .global boot_drive
boot_drive:
        .byte   0
        .org    510
        .word   0xaa55

        .text
/* void bios(unsigned vector): INT vector with the registers in `regs`, and what they are then. */
        .global bios
bios:   pushal
        movb    36(%esp), %al
        movb    %al, vector
        pushw   regs + 28
        popfw
        movl    regs + 4, %ebx
        movl    regs + 8, %ecx
        movl    regs + 12, %edx
        movl    regs + 16, %esi
        movl    regs + 20, %edi
        movl    regs + 24, %ebp
        movw    regs + 32, %es
        movl    regs, %eax
        .byte   0xcd
vector: .byte   0
        pushfw
        popw    %cs:regs + 28
        movw    %es, %cs:regs + 32
        pushw   %cs
        popw    %ds
        pushw   %cs
        popw    %es
        movl    %eax, regs
        movl    %ebx, regs + 4
        movl    %ecx, regs + 8
        movl    %edx, regs + 12
        movl    %esi, regs + 16
        movl    %edi, regs + 20
        movl    %ebp, regs + 24
        sti
        cld
        popal
        retl

/* INT 1Ch, INT 4Ah and the mouse's callback. */
        .global on_tick, on_alarm, on_mouse
on_tick:
        incl    %cs:ticks
        iretw
on_alarm:
        incl    %cs:alarms
        iretw
on_mouse:                               /* stack: return, 0, y, x, status */
        pushw   %bp
        movw    %sp, %bp
        pushw   %ax
        movw    12(%bp), %ax
        movw    %ax, %cs:mouse_status
        movw    10(%bp), %ax
        movw    %ax, %cs:mouse_x
        movw    8(%bp), %ax
        movw    %ax, %cs:mouse_y
        incl    %cs:mouse_packets
        popw    %ax
        popw    %bp
        lretw

        .section .note.GNU-stack, "", @progbits
