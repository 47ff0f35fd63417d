/* SPDX-License-Identifier: MIT */
/* How lines.c is entered: on Arm's virt as it comes out of reset, on a PC by PVH and through to long mode. */
#ifdef __aarch64__
        .globl _start, dark
_start: adrp    x0, stack
        add     x0, x0, :lo12:stack
        mov     sp, x0
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, #3 << 20
        msr     cpacr_el1, x0
        isb
        b       start
        .type   dark, %function
dark:   .cfi_startproc
        add     w0, w0, #1
        add     w0, w0, #1
        ret
        .cfi_endproc
        .size   dark, . - dark
        .bss
        .balign 16
        .skip   16384
stack:
#else
        .section .note.pvh, "a"
        .long   4, 4, 18
        .asciz  "Xen"
        .long   _start

        .text
        .code32
        .globl _start, dark
_start: cld
        movl    $stack, %esp
        /* 1 GiB in pages of 2 MiB, mapped flat. */
        movl    $level3 + 3, level4
        movl    $level2 + 3, level3
        xorl    %ecx, %ecx
1:      movl    %ecx, %eax
        shll    $21, %eax
        orl     $0x83, %eax
        movl    %eax, level2(, %ecx, 8)
        incl    %ecx
        cmpl    $512, %ecx
        jne     1b
        movl    $level4, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        andl    $~4, %eax
        orl     $0x80000002, %eax
        movl    %eax, %cr0
        lgdt    table
        ljmp    $8, $long_mode
        .code64
long_mode:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %ss
        xorl    %ebp, %ebp
        pushq   $0
        jmp     start
        .type   dark, @function
dark:   .cfi_startproc
        leal    1(%rdi), %eax
        incl    %eax
        ret
        .cfi_endproc
        .size   dark, . - dark
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
table:  .word   . - gdt - 1
        .long   gdt
        .bss
        .balign 4096
level4: .skip   4096
level3: .skip   4096
level2: .skip   4096
        .skip   16384
stack:
#endif
        .section .note.GNU-stack, "", %progbits
