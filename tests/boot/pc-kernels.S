/* SPDX-License-Identifier: MIT */
/*
 * A kernel for a PC in one of three formats (-DLINUX, -DMULTIBOOT, -DPVH): prints its command line, its initrd or first module
 * and whether the memory map has entries on the debug console (port 0xe9), and ends by isa-debug-exit with status 0x21.
 */
#define PAGE 0x100000
/* What a kernel that is linked elsewhere than it is loaded has of itself before it has pages (of MULTIBOOT). */
#ifndef OFFSET
#define OFFSET 0
#endif
        .text
        .global _start

#ifdef LINUX
/* 1 KiB of setup: header (boot.rst) and the way to protected mode; the kernel follows. */
        .code16
setup:
        .org    0x1f1
        .byte   1                       /* sectors behind the first */
        .org    0x1fe
        .word   0xaa55
_start: .byte   0xeb, enter - (. + 1)
        .ascii  "HdrS"
        .word   0x020a
        .org    0x211
        .byte   1                       /* loaded high */
        .org    0x22c
        .long   0x7fffffff              /* the highest byte of an initrd */
        .org    0x238
        .long   255                     /* characters of the command line */
        .org    0x258
        .quad   PAGE
        .long   0x10000                 /* what it needs there */
        .org    0x268
enter:  cli
        movw    %cs, %ax                /* the setup's segment + 0x20 */
        subw    $0x20, %ax
        movzwl  %ax, %esi
        shll    $4, %esi
        movw    %ds, %bx
        cmpw    %ax, %bx                /* all others are the setup's */
        jne     1f
        leal    gdt - setup(%esi), %eax
        pushl   %eax
        pushw   $23
        movw    %sp, %bp
        lgdtl   (%bp)
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $PAGE
1:      hlt
        jmp     1b
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
        .org    0x400
        .code32
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movl    $0x9000, %esp
        movl    0x218(%esi), %edi
        movl    0x21c(%esi), %ecx
        movl    0x228(%esi), %esi
        movl    $1, %ebx                /* the map is the kernel's own affair */
        jmp     report
#endif

#ifdef MULTIBOOT
        .code32
        .balign 4
        .long   0x1badb002, 3, -(0x1badb002 + 3)
_start: movl    $stack - OFFSET, %esp
        cmpl    $0x2badb002, %eax
        jne     failed
        movl    16(%ebx), %esi          /* command line */
        xorl    %edi, %edi
        xorl    %ecx, %ecx
        cmpl    $0, 20(%ebx)
        je      1f
        movl    24(%ebx), %eax
        movl    (%eax), %edi
        movl    4(%eax), %ecx
        subl    %edi, %ecx
1:      movl    44(%ebx), %eax          /* the map's bytes, its first entry's size */
        movl    48(%ebx), %edx
        cmpl    $20, (%edx)
        jne     failed
        addl    %edx, %eax
2:      cmpl    %eax, %edx              /* the RAM from 1 MiB on is as long as they say at 8 */
        jae     failed
        addl    $24, %edx
        cmpl    $PAGE, 4 - 24(%edx)
        jne     2b
        movl    8(%ebx), %eax
        shll    $10, %eax
        cmpl    %eax, 12 - 24(%edx)
        jne     failed
        jmp     report
#endif

#ifdef PVH
        .code32
        .section .note.Xen, "a", @note
        .long   4, 4, 18
        .asciz  "Xen"
        .long   _start
        .text
_start: movl    $stack, %esp
        cmpl    $0x336ec578, (%ebx)
        jne     failed
        movl    24(%ebx), %esi
        xorl    %edi, %edi
        xorl    %ecx, %ecx
        cmpl    $0, 12(%ebx)
        je      1f
        movl    16(%ebx), %eax
        movl    (%eax), %edi
        movl    8(%eax), %ecx
1:      movl    48(%ebx), %ebx
        jmp     report
#endif

/* ESI: command line, EDI and ECX: initrd, EBX: not zero when there is a map. */
report:
1:      movb    (%esi), %al
        testb   %al, %al
        jz      2f
        outb    %al, $0xe9
        incl    %esi
        jmp     1b
2:      movb    $'|', %al
        outb    %al, $0xe9
        jecxz   4f
3:      movb    (%edi), %al
        outb    %al, $0xe9
        incl    %edi
        loop    3b
4:      movb    $'|', %al
        outb    %al, $0xe9
        testl   %ebx, %ebx
        jz      failed
        movb    $'.', %al
        outb    %al, $0xe9
        movb    $0x10, %al
        movw    $0x501, %dx
        outb    %al, %dx
failed: hlt
        jmp     failed

#ifndef LINUX
        .bss
        .fill   4096
stack:
#endif
        .section .note.GNU-stack, "", @progbits
