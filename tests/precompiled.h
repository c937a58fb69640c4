/* SPDX-License-Identifier: MIT */
/*
 * What nearly every test in C++ includes, compiled once in each build directory: parsing it takes
 * twice as long as compiling an ordinary test. The makefile puts it in front of each; tests include
 * what they use all the same.
 */
#ifndef URGE_TESTS_PRECOMPILED_H
#define URGE_TESTS_PRECOMPILED_H

#include <atomic>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#endif
