// The least that a C++ program does: starts, writes one line, ends. What process starts are measured against.
#include <iostream>

int main() { std::cout << "{}\n"; }
