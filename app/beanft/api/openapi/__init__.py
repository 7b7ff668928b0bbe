"""The API's OpenAPI 3.1 document, of plain dicts.

Libraries that derive it from types bring pydantic, whose import costs half of the API's start.
Tests hold the document against the routes, and schemathesis against the answers.
"""
