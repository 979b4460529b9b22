"""Networks that run where no server is: in a browser's page, in one HTML file, in a C program.

`compiling` turns model.onnx into a program, `kernels.c` is its arithmetic, `javascript` and `c_header` write it down.
"""
