/* SPDX-License-Identifier: MIT */
/*
 * A boot sector that goes from real mode over protected mode to long mode and counts there: for debuggers. The
 * symbols of the real-mode part are linear addresses.
 */
        .code16
        .globl _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0x07b0, $(real - 0x7b00)       /* CS base 0x7b00: IP is not the address */
        .globl real
real:   movl    $1, counter
        call    shout
        lgdt    table
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $protected
        .globl shout
shout:  movl    $0x11, shouted
        ret

        .code32
        .globl protected
protected:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x7c00, %esp
        movl    $2, counter
        /* One page of 2 MiB, mapped flat. */
        xorl    %eax, %eax
        movl    $0x1000, %edi
        movl    $0xc00, %ecx
        rep stosl
        movl    $0x2003, 0x1000
        movl    $0x3003, 0x2000
        movl    $0x83, 0x3000
        movl    $0x1000, %eax
        movl    %eax, %cr3
        movl    $0x20, %eax
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmp    $24, $long_mode

        .code64
        .globl long_mode, loop, step1, step2
long_mode:
        movabsq $0x1122334455667788, %r15
        movq    $3, counter
        movq    $0x83, 0x3008                   /* the next 2 MiB, which were not mapped: the first again */
loop:   incq    counter
step1:  call    inner
step2:  jmp     loop
        .globl inner
inner:  movq    counter, %rax
        ret

        .balign 128                             /* far from the code: stores beside it are slow */
        .globl counter, shouted
counter: .quad  0
shouted: .quad  0
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      /* code, 32 bit */
        .quad   0x00cf93000000ffff      /* data */
        .quad   0x00af9b000000ffff      /* code, 64 bit */
table:  .word   . - gdt - 1
        .long   gdt
        .org    510
        .word   0xaa55
