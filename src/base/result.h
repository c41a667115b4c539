// Errors are values: what went wrong, where in the input, and what to do about it.
// Nothing here throws; std::bad_alloc is the only exception that may pass through this code base's own functions.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace wallaby::base {

enum class ErrorCode : uint8_t {
    io,           // the operating system refused: open, read, write
    format,       // a file breaks its format's rules
    unsupported,  // well-formed, but not something this build runs
    model,        // hyper-parameters, tensors or vocabulary contradict each other
    argument,     // a flag, a field of a request, or a call's parameter
    capacity,     // the context, a budget or a plan is too small
    numeric,      // a non-finite value where a finite one is required
    cancelled,    // a stop was requested
    memory,       // an allocation failed
};

std::string_view name_of(ErrorCode code);

// The place in the input that an error speaks of; parts that do not apply are empty.
struct Where {
    std::string file;
    std::string field;                    // "key 'llama.block_count'", "tensor 'blk.0.attn_q.weight'", "--top-k"
    std::optional<uint64_t> offset = {};  // bytes from the start of file
};

struct Error {
    ErrorCode code = ErrorCode::io;
    std::string what;
    Where where;
    std::string remedy;  // empty when there is nothing the reader can do

    // One line: "FILE: FIELD at byte N: WHAT. REMEDY". Control characters, which a hostile file's keys may carry to the
    // terminal, are written as \xNN.
    std::string message() const;
};

// A T or an Error. A Result is looked at before use: value() of an error is a bug of ours, not of the input.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return v_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() & { return std::get<0>(v_); }
    const T& value() const& { return std::get<0>(v_); }
    T&& value() && { return std::get<0>(std::move(v_)); }
    Error& error() & { return std::get<1>(v_); }
    const Error& error() const& { return std::get<1>(v_); }
    Error&& error() && { return std::get<1>(std::move(v_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T operator*() && { return std::get<0>(std::move(v_)); }  // by value: `for (… : *f())` must not outlive f's result
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

  private:
    std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }
    Error& error() & { return *error_; }
    const Error& error() const& { return *error_; }
    Error&& error() && { return *std::move(error_); }

  private:
    std::optional<Error> error_;
};

}  // namespace wallaby::base

namespace wallaby {
using base::Error;
using base::ErrorCode;
using base::Result;
using base::Where;
}  // namespace wallaby

#define WALLABY_CONCAT_(a, b) a##b
#define WALLABY_CONCAT(a, b) WALLABY_CONCAT_(a, b)
// WALLABY_TRY(declaration, expression): bind the value of a Result, or return its error from this function.
#define WALLABY_TRY(declaration, expression) WALLABY_TRY_(declaration, expression, WALLABY_CONCAT(result_, __LINE__))
#define WALLABY_TRY_(declaration, expression, temporary)          \
    auto temporary = (expression);                                \
    if (!temporary.ok()) { return std::move(temporary).error(); } \
    declaration = std::move(temporary).value()
// WALLABY_OK(expression): return the error of a Result<void>, if it is one.
#define WALLABY_OK(expression) \
    if (auto result_ok_ = (expression); !result_ok_.ok()) { return std::move(result_ok_).error(); }
