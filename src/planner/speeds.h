// Seconds that ops take on a back end of this machine, as probe/ measured them on ops of its own.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "planner/rates.h"
#include "quant/format.h"

namespace wallaby::planner {

// Whether a type's products are done in floating point: attention's keys, and matrices that are not quantised.
constexpr bool is_float(quant::Type type) {
    return type == quant::Type::f32 || type == quant::Type::f16 || type == quant::Type::bf16;
}

// Straight lines between measured points, and the last one's on; before the first, in proportion. x ascends from above
// 0. Without points: 0 everywhere.
struct Curve {
    struct Point {
        double x = 0, y = 0;
        bool operator==(const Point&) const = default;
    };
    std::vector<Point> points;

    double at(double x) const;
    bool operator==(const Curve&) const = default;
};

struct AttendSpeed {
    double seconds_per_byte = 0;  // of keys and values read, where a row is alone
    double seconds_per_mac = 0;   // where rows share what they read
    bool operator==(const AttendSpeed&) const = default;
};

// What goes row by row, a row by one thread.
struct RowSpeed {
    double alone = 0;     // seconds a byte of values read and written, of one row; of conv and scan a multiply-add
    double together = 0;  // of many rows, all threads at work
    bool operator==(const RowSpeed&) const = default;
};

struct Speeds {
    std::string backend, isa;
    uint32_t n_threads = 0;
    Rates rates;  // of the same minute: what the others hold at

    std::map<quant::Type, Curve> matmul;                                // seconds a weight, by columns
    std::map<std::pair<quant::Type, quant::Type>, AttendSpeed> attend;  // by types of keys and values
    std::map<std::string, RowSpeed, std::less<>> rows;                  // by ops::name_of
    double wait_seconds = 0;  // of a step of wide ops, whatever they do: threads that wait for each other
    double run_seconds = 0;   // of a run of a program, whatever it holds

    bool operator==(const Speeds&) const = default;
};

}  // namespace wallaby::planner
